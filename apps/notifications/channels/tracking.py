"""What is told of a message after it was taken, in our words, whoever told it and however."""

import hashlib
import uuid
from dataclasses import dataclass
from enum import StrEnum

from apps.notifications.channels.email.providers.smtp.outcomes import printable
from apps.notifications.channels.outcome import DETAIL_LIMIT

MESSAGE_ID_LIMIT = 255


class Kind(StrEnum):
    SENT = "sent"
    """The service has it, and will try to deliver it."""
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    """It will never arrive."""
    SOFT_BOUNCE = "soft_bounce"
    """Refused for a reason that may pass; the service says more later, or nothing."""
    DELAYED = "delayed"
    COMPLAINED = "complained"
    """The person called it spam."""
    OPENED = "opened"
    CLICKED = "clicked"


@dataclass(frozen=True, slots=True)
class TrackingEvent:
    """`key`: the same (64 hex characters) for the same event, however often it is told. `delivery_id` names the
    delivery, or else `provider_message_id` does. `permanent`: with BOUNCED, the address is dead for good."""

    kind: Kind
    key: str
    delivery_id: uuid.UUID | None = None
    provider_message_id: str = ""
    detail: str = ""
    permanent: bool = False


def key_of(*parts: object) -> str:
    return hashlib.sha256("\0".join(str(part) for part in parts).encode("utf-8", "replace")).hexdigest()


def detail_of(words: object) -> str:
    """Somebody else's words as they may be stored and shown."""
    return printable(str(words or ""))[:DETAIL_LIMIT]
