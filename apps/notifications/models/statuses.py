"""The one list of statuses, and the one table of who may move what to where."""

from collections.abc import Iterable

from django.db import models


class Status(models.TextChoices):
    QUEUED = "queued", "Queued"
    SENDING = "sending", "Sending"
    SENT = "sent", "Sent"
    DELIVERED = "delivered", "Delivered"
    BOUNCED = "bounced", "Bounced"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    EXPIRED = "expired", "Expired"
    SKIPPED = "skipped", "Skipped"
    UNKNOWN = "unknown", "Unknown"


SCHEDULED = "scheduled"
"""Shown, never stored: a queued row that is due later and was never tried."""

SENDER_MOVES: dict[Status, frozenset[Status]] = {
    # Sent: freed to be sent again, and then its sender learnt the answer after all.
    Status.QUEUED: frozenset({Status.SENDING, Status.CANCELLED, Status.SENT}),
    Status.SENDING: frozenset(
        {Status.QUEUED, Status.SENT, Status.FAILED, Status.EXPIRED, Status.SKIPPED, Status.UNKNOWN}
    ),
    # The sender that lost its lease and learnt the answer after all.
    Status.UNKNOWN: frozenset({Status.SENT, Status.QUEUED, Status.FAILED}),
}
"""What senders, the tick and a cancelling caller may do; a sender only while nobody has claimed the row since."""

RECEIPT_MOVES: dict[Status, frozenset[Status]] = {
    Status.SENT: frozenset({Status.DELIVERED, Status.BOUNCED}),
    Status.UNKNOWN: frozenset({Status.SENT, Status.DELIVERED, Status.BOUNCED}),
}
"""What a provider's receipt may do."""

REPLAY_MOVES: dict[Status, frozenset[Status]] = {
    Status.FAILED: frozenset({Status.QUEUED}),
    Status.UNKNOWN: frozenset({Status.QUEUED}),
}
"""What an operator may do."""

WENT_OUT = (Status.SENT, Status.DELIVERED, Status.BOUNCED, Status.UNKNOWN)
"""A provider has it, or may have it: sending again could reach the person twice."""

PRECEDENCE = (
    Status.SENDING,
    Status.QUEUED,
    Status.UNKNOWN,
    Status.FAILED,
    Status.BOUNCED,
    Status.SENT,
    Status.DELIVERED,
    Status.EXPIRED,
    Status.CANCELLED,
    Status.SKIPPED,
)
"""A notification shows the first of these that one of its deliveries has."""


def movable_to(wanted: Status, moves: dict[Status, frozenset[Status]]) -> list[Status]:
    """The statuses from which a row may get to `wanted` by this table."""
    return [start for start, ends in moves.items() if wanted in ends]


def summary(statuses: Iterable[str]) -> str:
    """A notification's status, of its deliveries' shown ones; with none at all it is skipped."""
    found = set(statuses)
    for status in PRECEDENCE:
        if status in found:
            return status.value
        if status is Status.QUEUED and SCHEDULED in found:
            return SCHEDULED
    return Status.SKIPPED.value
