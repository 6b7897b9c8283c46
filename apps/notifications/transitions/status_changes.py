"""The one place where a delivery's status changes: which moves each actor may make, and one conditional UPDATE.

A row that another process has changed meanwhile does not match the condition and stays as it is. Two changes are made
for a hundred rows at a time and have SQL of their own, which takes its statuses from the same table: queued → sending
(`claims`) and sending → sent (`outcomes`).
"""

from typing import Any

from apps.notifications.models.statuses import Status

Table = dict[Status, frozenset[Status]]

SENDER_MOVES: Table = {
    # To sent: the row was freed, and then its first sender received the provider's answer.
    Status.QUEUED: frozenset({Status.SENDING, Status.CANCELLED, Status.SENT}),
    Status.SENDING: frozenset(
        {Status.QUEUED, Status.SENT, Status.FAILED, Status.EXPIRED, Status.SKIPPED, Status.UNKNOWN}
    ),
    # By the sender that lost its lease, and then received the provider's answer.
    Status.UNKNOWN: frozenset({Status.SENT, Status.QUEUED, Status.FAILED}),
}
"""Moves by senders, the scheduler and a cancelling caller; by a sender only while no later claim exists."""

RECEIPT_MOVES: Table = {
    Status.SENT: frozenset({Status.DELIVERED, Status.BOUNCED}),
    Status.UNKNOWN: frozenset({Status.SENT, Status.DELIVERED, Status.BOUNCED}),
}
"""Moves by a provider's receipt."""

REPLAY_MOVES: Table = {
    Status.FAILED: frozenset({Status.QUEUED}),
    Status.UNKNOWN: frozenset({Status.QUEUED}),
}
"""Moves by an operator's replay."""


def movable_to(wanted: Status, moves: Table) -> list[Status]:
    """The statuses from which this table allows a move to `wanted`."""
    return [start for start, ends in moves.items() if wanted in ends]


def change(rows: Any, to: Status, table: Table, **columns: Any) -> int:
    """Move these rows (a QuerySet of deliveries) to `to`, with these columns; returns how many could be moved."""
    changed: int = rows.filter(status__in=movable_to(to, table)).update(status=to, **columns)
    return changed
