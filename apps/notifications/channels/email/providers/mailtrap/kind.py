"""Mailtrap as a provider: `mailtrap://`."""

from apps.notifications.channels.email.providers.anymail.kind import kind_of
from apps.notifications.channels.email.providers.anymail.service import AnymailService

KIND = kind_of(
    AnymailService(
        name="mailtrap", key="api_token", options=frozenset({"sandbox_id"}), verified_by="webhook_key"
    )
)
