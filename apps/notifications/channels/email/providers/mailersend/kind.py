"""MailerSend as a provider: `mailersend://`."""

from apps.notifications.channels.email.providers.anymail.kind import kind_of
from apps.notifications.channels.email.providers.anymail.service import AnymailService

KIND = kind_of(
    AnymailService(name="mailersend", key="api_token", returns_metadata=False, verified_by="webhook_key")
)
