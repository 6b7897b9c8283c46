"""Mailjet as a provider: `mailjet://`."""

from apps.notifications.channels.email.providers.anymail.kind import kind_of
from apps.notifications.channels.email.providers.anymail.service import AnymailService

KIND = kind_of(
    AnymailService(
        name="mailjet",
        key="api_key:secret_key",
        # It sets both by itself, and refuses a message that has them.
        refused_headers=frozenset({"message-id", "list-id"}),
        verified_by="webhook_secret",
    )
)
