"""Keyed hashes: they find rows by a value, or prove that this host made it, without storing the value."""

import hashlib
import hmac

from django.conf import settings

from notifier.channels.registry import CHANNELS


def keyed_hash(message: bytes) -> str:
    """HMAC-SHA256 by HASH_KEY (64 hex characters): without the key, guesses can't be tested against it."""
    return hmac.new(settings.HASH_KEY.encode(), message, hashlib.sha256).hexdigest()


def recipient_hash(channel: str, value: str) -> str:
    """The keyed hash of an address or token, the same for every spelling of an address."""
    return _hash(channel, CHANNELS[channel].address.comparable(value))


def former_hashes(channel: str, value: str) -> list[str]:
    """Hashes that an earlier release made of other spellings of this address. Rows whose address is erased still have
    them, because the new hash can't be computed without the address."""
    return [_hash(channel, spelling) for spelling in CHANNELS[channel].address.former(value)]


def hashes_of(value: str) -> list[str]:
    """All hashes by which rows of this address or device token may be found, whichever channel's it is."""
    return [
        hashed
        for channel in CHANNELS
        for hashed in (recipient_hash(channel, value), *former_hashes(channel, value))
    ]


def _hash(channel: str, value: str) -> str:
    # A search term may be any text, and a lone surrogate has no UTF-8 encoding.
    return keyed_hash(f"{channel}\0{value}".encode("utf-8", "surrogatepass"))
