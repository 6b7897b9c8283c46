"""What waits for its time: due rows, claimed by one worker each, for as long as its lease runs."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Self

from django.db import models
from django.db.models import DateTimeField, ExpressionWrapper, F, Q
from django.db.models.functions import Now

from apps.notifications.models.statuses import Status


def from_now(seconds: float) -> "ExpressionWrapper[Any]":
    """The database's clock, `seconds` from now."""
    return ExpressionWrapper(Now() + timedelta(seconds=seconds), output_field=DateTimeField())


LEASE_INDEX = models.Index(fields=["lease_until"], condition=Q(status=Status.SENDING), name="%(class)s_lease")


class WaitingQuerySet(models.QuerySet[Any]):
    def due(self) -> Self:
        """Queued rows whose time has come, by the database's clock."""
        return self.filter(status=Status.QUEUED, due_at__lte=Now())

    def lapsed(self) -> Self:
        """Claimed rows whose sender has stopped renewing its lease."""
        return self.filter(status=Status.SENDING, lease_until__lt=Now())

    def unpublish(self, ids: Iterable[Any]) -> int:
        """Leave these queued rows to the next sweep. The fence grows, so that the record of an earlier
        publication, which may be on its way still, no longer fits."""
        rows = self.filter(pk__in=list(ids), status=Status.QUEUED)
        return rows.update(published_at=None, fence=F("fence") + 1)


class Waiting(models.Model):
    """A row to be sent at its time. The row is the truth; queues only wake workers."""

    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)

    # The one clock of everything that waits: a retry, a set time, a resting provider, a row never published.
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
