"""Unisender Go as a provider: `unisender-go://`."""

from apps.notifications.channels.email.providers.anymail.kind import kind_of
from apps.notifications.channels.email.providers.anymail.service import AnymailService

KIND = kind_of(
    AnymailService(
        name="unisender_go", required=frozenset({"api_url"}), smtputf8=False, verified_by="webhook_key"
    )
)
