"""Resend as a provider: `resend://`."""

import base64
import binascii

from apps.notifications.channels.email.providers.anymail.kind import kind_of
from apps.notifications.channels.email.providers.anymail.service import AnymailService


def _is_base64(secret: str) -> bool:
    try:
        base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


KIND = kind_of(AnymailService(name="resend", verified_by="webhook_key", is_secret=_is_base64))
