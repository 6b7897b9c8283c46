"""Mailgun as a provider: `mailgun://`."""

from apps.notifications.channels.email.providers.anymail.kind import kind_of
from apps.notifications.channels.email.providers.anymail.service import AnymailService

KIND = kind_of(
    AnymailService(name="mailgun", options=frozenset({"sender_domain"}), verified_by="webhook_key")
)
