"""Signed links to a person's preferences: whoever has one may read and change these, and nothing else.

They never expire, because mail is kept for years. HASH_KEY signs them: it is the one key that is kept for good.
"""

import base64
import uuid
from typing import NamedTuple

from django.conf import settings
from django.core.signing import BadSignature, Signer

PATH = "preferences"
NOTHING = uuid.UUID(int=0)


class Reach(NamedTuple):
    """Whose preferences a link opens, and the category of the message that it came in."""

    user: uuid.UUID
    category: uuid.UUID | None


def page_for(user: uuid.UUID, category: uuid.UUID | None) -> str:
    """The address of the person's page, by their id and the category's; empty while PUBLIC_URL is not set."""
    if not settings.PUBLIC_URL:
        return ""
    held = user.bytes + (category or NOTHING).bytes
    token = _signer().sign(base64.urlsafe_b64encode(held).rstrip(b"=").decode())
    return f"{settings.PUBLIC_URL}/{PATH}/{token}/"


def read(token: str) -> Reach | None:
    """What the link reaches; None where it isn't one of ours."""
    try:
        held = base64.urlsafe_b64decode(_signer().unsign(token) + "=")
    except BadSignature:
        return None
    user, category = uuid.UUID(bytes=held[:16]), uuid.UUID(bytes=held[16:])
    return Reach(user, None if category == NOTHING else category)


def _signer() -> Signer:
    return Signer(key=settings.HASH_KEY, salt="apps.users.links")
