"""The statuses of a delivery, and which transitions each actor may make."""

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
"""Shown, never stored: a queued row that is due later and was never attempted."""

SENDER_MOVES: dict[Status, frozenset[Status]] = {
    # To sent: the row was freed, and then its first sender received the provider's answer.
    Status.QUEUED: frozenset({Status.SENDING, Status.CANCELLED, Status.SENT}),
    Status.SENDING: frozenset(
        {Status.QUEUED, Status.SENT, Status.FAILED, Status.EXPIRED, Status.SKIPPED, Status.UNKNOWN}
    ),
    # By the sender that lost its lease, and then received the provider's answer.
    Status.UNKNOWN: frozenset({Status.SENT, Status.QUEUED, Status.FAILED}),
}
"""Moves by senders, the scheduler and a cancelling caller; by a sender only while no later claim exists."""

RECEIPT_MOVES: dict[Status, frozenset[Status]] = {
    Status.SENT: frozenset({Status.DELIVERED, Status.BOUNCED}),
    Status.UNKNOWN: frozenset({Status.SENT, Status.DELIVERED, Status.BOUNCED}),
}
"""Moves by a provider's receipt."""

REPLAY_MOVES: dict[Status, frozenset[Status]] = {
    Status.FAILED: frozenset({Status.QUEUED}),
    Status.UNKNOWN: frozenset({Status.QUEUED}),
}
"""Moves by an operator's replay."""

WENT_OUT = (Status.SENT, Status.DELIVERED, Status.BOUNCED, Status.UNKNOWN)
"""A provider accepted it, or may have: sending it again could reach the person twice."""

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
    """The statuses from which this table allows a move to `wanted`."""
    return [start for start, ends in moves.items() if wanted in ends]


def summary(statuses: Iterable[str]) -> str:
    """A notification's status from the shown statuses of its deliveries; skipped if there are none."""
    found = set(statuses)
    for status in PRECEDENCE:
        if status in found:
            return status.value
        if status is Status.QUEUED and SCHEDULED in found:
            return SCHEDULED
    return Status.SKIPPED.value
