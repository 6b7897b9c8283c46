"""Scaleway's Transactional Email as a provider: `scaleway://`. django-anymail reads none of its events."""

from apps.notifications.channels.email.providers.anymail.kind import kind_of
from apps.notifications.channels.email.providers.anymail.service import AnymailService

KIND = kind_of(
    AnymailService(
        name="scaleway",
        key="secret_key",
        options=frozenset({"region"}),
        required=frozenset({"project_id"}),
        smtputf8=False,
        # It would be a header that recipients see, and nothing would return it.
        returns_metadata=False,
    )
)
