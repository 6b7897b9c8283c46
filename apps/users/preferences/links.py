"""Signed links to a person's preferences: the holder of a link may read and change these, and nothing else. An
address that belongs to no person has a link, too, by which it can refuse all further mail.

The links never expire, because mail is kept for years. HASH_KEY signs them: it is the one key that never changes.
"""

import base64
import uuid
from typing import NamedTuple

from django.conf import settings
from django.core.signing import BadSignature, Signer

PATH = "preferences"
ADDRESS_PATH = "unsubscribe"
NOTHING = uuid.UUID(int=0)


class Reach(NamedTuple):
    """Whose preferences a link opens, and the category of the message that it came in."""

    user: uuid.UUID
    category: uuid.UUID | None


class AddressReach(NamedTuple):
    """Whose mail to which address (by its hash) a link refuses, and the category of the message that it came in."""

    organization: uuid.UUID
    category: uuid.UUID
    recipient_hash: str


def page_for(user: uuid.UUID, category: uuid.UUID | None) -> str:
    """The URL of the person's page, by their id and the category's; empty while PUBLIC_URL is not set."""
    if not settings.PUBLIC_URL:
        return ""
    return f"{settings.PUBLIC_URL}/{PATH}/{_signed(_signer(), user.bytes + (category or NOTHING).bytes)}/"


def page_for_address(organization: uuid.UUID, category: uuid.UUID, recipient_hash: str) -> str:
    """The same for an address that belongs to no person; `recipient_hash` is hexadecimal."""
    if not settings.PUBLIC_URL:
        return ""
    payload = organization.bytes + category.bytes + bytes.fromhex(recipient_hash)
    return f"{settings.PUBLIC_URL}/{ADDRESS_PATH}/{_signed(_address_signer(), payload)}/"


def read_address(token: str) -> AddressReach | None:
    """What a link of `page_for_address` opens; None where this host did not sign it."""
    payload = _verified(_address_signer(), token)
    if payload is None:
        return None
    return AddressReach(uuid.UUID(bytes=payload[:16]), uuid.UUID(bytes=payload[16:32]), payload[32:].hex())


def read(token: str) -> Reach | None:
    """What a link of `page_for` opens; None where this host did not sign it."""
    payload = _verified(_signer(), token)
    if payload is None:
        return None
    user, category = uuid.UUID(bytes=payload[:16]), uuid.UUID(bytes=payload[16:])
    return Reach(user, None if category == NOTHING else category)


def _signer() -> Signer:
    return Signer(key=settings.HASH_KEY, salt="apps.users.links")


def _address_signer() -> Signer:
    return Signer(key=settings.HASH_KEY, salt="apps.users.links.addresses")


def _signed(signer: Signer, payload: bytes) -> str:
    return signer.sign(base64.urlsafe_b64encode(payload).rstrip(b"=").decode())


def _verified(signer: Signer, token: str) -> bytes | None:
    try:
        text = signer.unsign(token)
    except BadSignature:
        return None
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
