"""Postmark as a provider: `postmark://`."""

from apps.notifications.channels.email.providers.anymail.kind import kind_of
from apps.notifications.channels.email.providers.anymail.service import AnymailService

KIND = kind_of(
    AnymailService(
        name="postmark",
        key="server_token",
        options=frozenset({"message_stream"}),
        verified_by="webhook_secret",
    )
)
