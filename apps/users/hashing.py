"""Keyed hashes: they find a value again, or prove where it was made, without storing it."""

import hashlib
import hmac

from django.conf import settings

from apps.users.channels import Channel


def keyed_hash(message: bytes) -> str:
    """HMAC-SHA256 by HASH_KEY (64 hex characters): without the key no list of guesses can be tried against it."""
    return hmac.new(settings.HASH_KEY.encode(), message, hashlib.sha256).hexdigest()


def recipient_hash(channel: str, value: str) -> str:
    """The keyed hash of an address or token, the same for every spelling of an address."""
    if channel == Channel.EMAIL:
        value = normalise_email(value)
    return keyed_hash(f"{channel}\0{value}".encode())


def normalise_email(address: str) -> str:
    """The address in one spelling for comparison: trimmed, lower case. Mail is sent to the original."""
    return address.strip().lower()
