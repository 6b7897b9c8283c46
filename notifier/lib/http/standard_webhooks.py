"""Signatures by Standard Webhooks: they prove who posted a body, and when."""

import base64
import binascii
import hashlib
import hmac
import re
import time

CLOCKS_DIFFER_SECONDS = 300
"""How old, or how far ahead, a signature's time may be: what Standard Webhooks recommend."""


def key_of(secret: str) -> bytes:
    """The key in `whsec_…`, base64. Raises ValueError for any other text."""
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("a secret of Standard Webhooks is base64, with whsec_ before it or not") from None


def signature(key: bytes, *, message_id: str, timestamp: int, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode("utf-8", "surrogateescape") + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def is_signed(key: bytes, *, message_id: str, timestamp: str, signatures: str, body: bytes) -> bool:
    """Whether one of the `webhook-signature` header's signatures is by this key, and recent."""
    if not re.fullmatch(r"[0-9]{1,12}", timestamp):
        return False
    if abs(time.time() - int(timestamp)) > CLOCKS_DIFFER_SECONDS:
        return False
    expected = signature(key, message_id=message_id, timestamp=int(timestamp), body=body).encode()
    given = signatures.encode("utf-8", "surrogateescape").split()
    return any(hmac.compare_digest(expected, one) for one in given)
