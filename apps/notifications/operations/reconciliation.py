"""Reconciliation: every accepted delivery is final, waiting, in flight or unknown, and no row is inconsistent."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from apps.notifications.channels.logs import DELIVERIES, WAITING
from apps.notifications.models import DeadLetter, Delivery, Notification, Waiting, from_now
from apps.notifications.models.statuses import Status

FINAL = tuple(set(Status) - {Status.QUEUED, Status.SENDING, Status.UNKNOWN})

OVERDUE_SECONDS = 20 * 60
"""Due for longer than the scheduler's longest interval: no worker will take the row."""
LAPSED_SECONDS = 60
ROWS_NAMED = 100
"""How many rows of each kind a report names; the count is always complete."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A kind of inconsistency: how many rows have it, and the ids of the first `ROWS_NAMED`."""

    channel: str
    error: str
    count: int
    ids: list[str]


@dataclass(frozen=True, slots=True)
class Report:
    """`totals`: for each channel, and for callbacks, the number of rows, in all and of each status."""

    totals: dict[str, dict[str, int]]
    findings: list[Finding]

    @property
    def balanced(self) -> bool:
        return not self.findings and all(
            row["accepted"] == row["final"] + row["waiting"] + row["in_flight"] + row["unknown"]
            for row in self.totals.values()
        )


def audit() -> Report:
    """Check every delivery and callback. Reads whole tables, without locks: minutes on millions of rows."""
    totals = {channel: _totals(model) for channel, model in WAITING.items()}
    findings = [finding for channel, model in WAITING.items() for finding in _stuck(channel, model)]
    findings += [finding for model in DELIVERIES.values() for finding in _contradicted(model)]
    nothing = Notification.objects.all()
    for model in DELIVERIES.values():
        nothing = nothing.exclude(Exists(model.objects.filter(notification=OuterRef("pk"))))
    findings += _finding("", "notification without deliveries", nothing)
    return Report({str(channel): row for channel, row in totals.items()}, findings)


def _totals(model: Any) -> dict[str, int]:
    by_status = dict(model.objects.order_by().values_list("status").annotate(Count("pk")))

    def count(*statuses: Status) -> int:
        return sum(by_status.get(status, 0) for status in statuses)

    return {
        "accepted": model.objects.count(),
        "final": count(*FINAL),
        "waiting": count(Status.QUEUED),
        "in_flight": count(Status.SENDING),
        "unknown": count(Status.UNKNOWN),
        **{status: by_status.get(status, 0) for status in Status.values},
    }


def _stuck(channel: str, model: type[Waiting]) -> Iterator[Finding]:
    rows: Any = model.objects  # type: ignore[attr-defined]
    kinds: dict[str, Any] = {
        "overdue: due for 20 minutes and not taken": rows.filter(
            status=Status.QUEUED, due_at__lt=from_now(-OVERDUE_SECONDS)
        ),
        "past its lease: its sender is gone and nobody freed it": rows.filter(
            Q(lease_until__lt=from_now(-LAPSED_SECONDS)) | Q(lease_until=None), status=Status.SENDING
        ),
        "final without a time": rows.filter(status__in=FINAL, finished_at=None),
    }
    for error, found in kinds.items():
        yield from _finding(channel, error, found)


def _contradicted(model: type[Delivery]) -> Iterator[Finding]:
    rows: Any = model.objects  # type: ignore[attr-defined]
    dead_letter = DeadLetter.objects.filter(delivery_id=OuterRef("pk"), epoch=OuterRef("epoch"))
    kinds: dict[str, Any] = {
        "failed without a dead letter": rows.filter(~Exists(dead_letter), status=Status.FAILED),
        "unknown without a dead letter": rows.filter(~Exists(dead_letter), status=Status.UNKNOWN),
        "sent without a time": rows.filter(status=Status.SENT, sent_at=None),
        "sent, but an open dead letter says otherwise": rows.filter(
            Exists(dead_letter.filter(state=DeadLetter.State.OPEN)),
            status__in=(Status.SENT, Status.DELIVERED),
        ),
    }
    for error, found in kinds.items():
        yield from _finding(model.channel, error, found)


def _finding(channel: str, error: str, rows: QuerySet[Any]) -> Iterator[Finding]:
    ids = [str(pk) for pk in rows.order_by("id").values_list("pk", flat=True)[:ROWS_NAMED]]
    if ids:
        yield Finding(str(channel), error, rows.count() if len(ids) == ROWS_NAMED else len(ids), ids)
