"""Keyed hashes that find a recipient again without storing the value they were made of."""

import hashlib
import hmac

from django.conf import settings

from apps.users.channels import Channel


def recipient_hash(channel: str, value: str) -> str:
    """HMAC-SHA256 (64 hex characters) of an address or token, the same for every spelling of an address.

    Keyed by HASH_KEY: without the key a list of addresses can't be tried against the column.
    """
    if channel == Channel.EMAIL:
        value = normalise_email(value)
    message = f"{channel}\0{value}".encode()
    return hmac.new(settings.HASH_KEY.encode(), message, hashlib.sha256).hexdigest()


def normalise_email(address: str) -> str:
    """The address in one spelling for comparison: trimmed, lower case. Mail is sent to the original."""
    return address.strip().lower()
