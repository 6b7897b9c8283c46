"""Signed links to a person's preferences: whoever has one may read and change these, and nothing else. An address
that is nobody's has a link, too, by which it is told nothing more.

They never expire, because mail is kept for years. HASH_KEY signs them: it is the one key that is kept for good.
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
    """The address of the person's page, by their id and the category's; empty while PUBLIC_URL is not set."""
    if not settings.PUBLIC_URL:
        return ""
    return f"{settings.PUBLIC_URL}/{PATH}/{_sealed(_signer(), user.bytes + (category or NOTHING).bytes)}/"


def page_for_address(organization: uuid.UUID, category: uuid.UUID, recipient_hash: str) -> str:
    """The same for an address that is nobody's."""
    if not settings.PUBLIC_URL:
        return ""
    held = organization.bytes + category.bytes + bytes.fromhex(recipient_hash)
    return f"{settings.PUBLIC_URL}/{ADDRESS_PATH}/{_sealed(_address_signer(), held)}/"


def read_address(token: str) -> AddressReach | None:
    """What such a link reaches; None where it isn't one of ours."""
    held = _opened(_address_signer(), token)
    if held is None:
        return None
    return AddressReach(uuid.UUID(bytes=held[:16]), uuid.UUID(bytes=held[16:32]), held[32:].hex())


def read(token: str) -> Reach | None:
    """What the link reaches; None where it isn't one of ours."""
    held = _opened(_signer(), token)
    if held is None:
        return None
    user, category = uuid.UUID(bytes=held[:16]), uuid.UUID(bytes=held[16:])
    return Reach(user, None if category == NOTHING else category)


def _signer() -> Signer:
    return Signer(key=settings.HASH_KEY, salt="apps.users.links")


def _address_signer() -> Signer:
    return Signer(key=settings.HASH_KEY, salt="apps.users.links.addresses")


def _sealed(signer: Signer, held: bytes) -> str:
    return signer.sign(base64.urlsafe_b64encode(held).rstrip(b"=").decode())


def _opened(signer: Signer, token: str) -> bytes | None:
    try:
        text = signer.unsign(token)
    except BadSignature:
        return None
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
