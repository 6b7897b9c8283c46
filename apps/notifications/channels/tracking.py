"""Tracking events: what a provider reports about a message after accepting it, independent of the provider."""

import hashlib
import uuid
from dataclasses import dataclass
from enum import StrEnum

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


def key_of(*parts: object) -> str:
    """The deduplication key of an event with these parts."""
    return hashlib.sha256("\0".join(str(part) for part in parts).encode("utf-8", "replace")).hexdigest()


def detail_of(text: object) -> str:
    """A provider's or server's text, printable and cut to `DETAIL_LIMIT`, so that it may be stored and shown."""
    return printable(str(text or ""))[:DETAIL_LIMIT]
