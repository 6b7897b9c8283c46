"""The entries of a notification's timeline."""

from typing import Any

from apps.notifications.models import Delivery, Event, Notification
from apps.notifications.models.deliveries import ClaimedDelivery

ACCEPTED = "accepted"
FALLBACK = "fallback"
SENT = "sent"
RETRY = "retry"
DEFERRED = "deferred"
PASSED_ON = "passed_on"
"""A provider failed by an error of its own, and the next one is tried at once."""
FAILED = "failed"
UNKNOWN = "unknown"
RESEND = "resend"
SKIPPED = "skipped"
EXPIRED = "expired"
CANCELLED = "cancelled"
REPLAYED = "replayed"
DISCARDED = "discarded"
COMPLAINED = "complained"
REPLIED = "replied"
"""The person asked by a reply for no more messages, or for them again."""


def note(delivery: Delivery | ClaimedDelivery, kind: str, **data: Any) -> Event:
    """Store an entry about one delivery; `data` is what the operator needs to understand it."""
    event = entry(delivery, kind, **data)
    event.save(force_insert=True)
    return event


def entry(delivery: Delivery | ClaimedDelivery, kind: str, **data: Any) -> Event:
    """An entry as `note` makes it, unsaved."""
    return Event(
        notification_id=delivery.notification_id,
        delivery_id=delivery.pk,
        channel=delivery.channel,
        kind=kind,
        data=data_of(delivery, **data),
    )


def data_of(delivery: Delivery | ClaimedDelivery, **data: Any) -> dict[str, Any]:
    """The data of an entry, without empty values."""
    if data.get("detail") and not delivery.recipient:
        # Erased meanwhile, and the detail may repeat the address.
        del data["detail"]
    return {key: value for key, value in data.items() if value not in (None, "")}


def accepted(notification: Notification, **data: Any) -> Event:
    """The first entry, unsaved: what was decided for every channel and recipient."""
    return Event(notification=notification, kind=ACCEPTED, data=data)
