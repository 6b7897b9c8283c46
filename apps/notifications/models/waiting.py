"""Rows that wait for their due time, and are claimed by one worker each for the length of a lease."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Self

from django.db import models
from django.db.models import DateTimeField, ExpressionWrapper, F, Q
from django.db.models.functions import Now

from apps.notifications.models.statuses import Status


def from_now(seconds: float) -> "ExpressionWrapper[Any]":
    """The database's time `seconds` from now, as an expression."""
    return ExpressionWrapper(Now() + timedelta(seconds=seconds), output_field=DateTimeField())


FREE: dict[str, Any] = {"lease_until": None, "published_at": None}
"""A row that waits again: no worker's, and unpublished, so that the scheduler wakes a worker when it is due."""

LEASE_INDEX = models.Index(fields=["lease_until"], condition=Q(status=Status.SENDING), name="%(class)s_lease")


class WaitingQuerySet(models.QuerySet[Any]):
    def due(self) -> Self:
        """Queued rows that are due by the database's clock."""
        return self.filter(status=Status.QUEUED, due_at__lte=Now())

    def lapsed(self) -> Self:
        """Claimed rows whose lease has expired because their sender stopped renewing it."""
        return self.filter(status=Status.SENDING, lease_until__lt=Now())

    def unpublish(self, ids: Iterable[Any]) -> int:
        """Leave these queued rows to the republisher. The fence grows, so that a late record of an earlier
        publication no longer matches."""
        rows = self.filter(pk__in=list(ids), status=Status.QUEUED)
        return rows.update(published_at=None, fence=F("fence") + 1)


class Waiting(models.Model):
    """A row to be sent when it is due. The row is the source of truth; queue messages only wake workers."""

    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)

    # The only time that rows wait for: a retry, a schedule, an open circuit, an unpublished row.
    due_at = models.DateTimeField(db_default=Now())
    published_at = models.DateTimeField(
        null=True, blank=True, help_text="When the broker confirmed its wake-up."
    )
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveIntegerField(default=0, help_text="Grows with every claim.")
    claimed_by = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        abstract = True
        indexes = [
            models.Index(fields=["due_at"], condition=Q(status=Status.QUEUED), name="%(class)s_due"),
            LEASE_INDEX,
        ]
