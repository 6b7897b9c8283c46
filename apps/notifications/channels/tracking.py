"""Tracking events: what a provider reports about a message after accepting it, independent of the provider."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from apps.notifications.channels.email.providers.smtp.outcomes import printable
from apps.notifications.channels.outcome import DETAIL_LIMIT

MESSAGE_ID_LIMIT = 255


class Kind(StrEnum):
    SENT = "sent"
    """The service accepted it, and will try to deliver it."""
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    """It will never be delivered."""
    SOFT_BOUNCE = "soft_bounce"
    """Refused temporarily; the service may or may not report again later."""
    DELAYED = "delayed"
    COMPLAINED = "complained"
    """The person reported it as spam."""
    OPENED = "opened"
    CLICKED = "clicked"


@dataclass(frozen=True, slots=True)
class TrackingEvent:
    """`key`: 64 hex characters, the same each time the same event is reported. `delivery_id` names the delivery, or
    else `provider_message_id` does. `permanent`: with BOUNCED, the address is dead for good."""

    kind: Kind
    key: str
    delivery_id: uuid.UUID | None = None
    provider_message_id: str = ""
    detail: str = ""
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """A person's answer to a message: it asks for no more of them (`refuses`), or for them again.

    `key`: as of a TrackingEvent. `recipient`: the address that the answer came from, in any spelling.
    """

    key: str
    recipient: str
    refuses: bool


class Unverified(Exception):
    """The post is not signed by the provider, or not with this account's secret."""


class NotTracking(Exception):
    """The post is the provider's, but about inbound mail instead of messages that were sent."""


@dataclass(frozen=True, slots=True)
class Post:
    """A request to the account's URL. `meta`: as a WSGI environment names it (`CONTENT_TYPE`, `HTTP_…`). `body`: its
    octets, up to a limit. `form`: the body is an HTML form's, not JSON. `url`: the account's URL as the provider was
    given it, which some sign."""

    meta: Mapping[str, Any]
    body: bytes
    form: bool = False
    url: str = ""


@dataclass(frozen=True, slots=True)
class Unread:
    """A tracking event in an unknown shape. `body`: the event as a post of its own; `error`: why it can't be read."""

    body: bytes
    error: str


class EventsReader(Protocol):
    """Verifies and reads one account's posts.

    `verifies`: the account's URL has the secret for it; without it no post is accepted. `forms`: the provider also
    posts HTML forms. `signed_inside`: the signature is part of the body, which must be parsed to be verified.
    `identified_by`: the header, as `Post.meta` names it, by which an event is known to be the same; "" where the body
    says that.
    """

    verifies: bool
    forms: bool
    signed_inside: bool
    identified_by: str

    def is_ping(self, post: Post) -> bool:
        """Whether it is the provider's test of the URL, which must be answered before there is a secret."""

    def verify(self, post: Post) -> None:
        """Raises Unverified. The body is parsed only where the signature is in it."""

    def read(self, post: Post) -> tuple[Sequence[TrackingEvent | Reply], list[Unread]]:
        """A verified post's tracking events and replies, and those that can't be read; kinds that are not used here
        are dropped.

        An unreadable event does not affect the others. Raises NotTracking, and ValueError for a body that is no JSON.
        """


def key_of(*parts: object) -> str:
    """The deduplication key of an event with these parts."""
    return hashlib.sha256("\0".join(str(part) for part in parts).encode("utf-8", "replace")).hexdigest()


def detail_of(text: object) -> str:
    """A provider's or server's text, printable and cut to `DETAIL_LIMIT`, so that it may be stored and shown."""
    return printable(str(text or ""))[:DETAIL_LIMIT]
