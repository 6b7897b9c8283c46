"""Resend as a provider: `resend://`."""

from apps.notifications.channels.email.providers.anymail.kind import kind_of
from apps.notifications.channels.email.providers.anymail.service import AnymailService
from notifier.lib.http.standard_webhooks import key_of


def _is_base64(secret: str) -> bool:
    try:
        key_of(secret)
    except ValueError:
        return False
    return True


KIND = kind_of(AnymailService(name="resend", verified_by="webhook_key", is_secret=_is_base64))
