"""The one place where a delivery's status changes: one conditional UPDATE, by the table in `models.statuses`.

A row that another process has changed meanwhile does not match the condition and stays as it is. Two changes are made
for a hundred rows at a time and have SQL of their own, which takes its statuses from the same table: queued → sending
(`claims`) and sending → sent (`outcomes`).
"""

from typing import Any

from apps.notifications.models.statuses import Status, movable_to

Table = dict[Status, frozenset[Status]]

FREE: dict[str, Any] = {"lease_until": None, "published_at": None}
"""A row that waits again: no worker's, and unpublished, so that the scheduler wakes a worker when it is due."""


def change(rows: Any, to: Status, table: Table, **columns: Any) -> int:
    """Move these rows (a QuerySet of deliveries) to `to`, with these columns; returns how many could be moved."""
    changed: int = rows.filter(status__in=movable_to(to, table)).update(status=to, **columns)
    return changed
