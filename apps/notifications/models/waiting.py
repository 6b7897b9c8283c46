"""What waits for its time: due rows, claimed by one worker each, for as long as its lease runs."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar, Self

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

    def claim(self, pk: Any, *, token: str, lease: float) -> Any:
        """The due row `pk`, now `token`'s for `lease` seconds; None when it is not due or is another's.

        The condition and the change are one statement, so of any number of workers one gets it. `fence`
        grows with every claim: what a former holder still writes no longer fits.
        """
        claimed = (
            self.due()
            .filter(pk=pk)
            .update(
                status=Status.SENDING,
                fence=F("fence") + 1,
                lease_until=from_now(lease),
                claimed_by=token,
            )
        )
        if not claimed:
            return None
        # By its token: after a stall between the statements the row may be another claim's by now.
        rows = self.select_related(*self.model.CLAIMED_WITH).annotate(db_now=Now())
        return rows.filter(pk=pk, claimed_by=token).first()

    def free(self) -> int:
        """Nobody's any more: claimed rows wait again, as if their claim had not been made, for the next sweep."""
        return self.update(status=Status.QUEUED, lease_until=None, published_at=None, fence=F("fence") + 1)

    def unpublish(self, ids: Iterable[Any]) -> int:
        """Leave these queued rows to the next sweep. The fence grows, so that the record of an earlier
        publication, which may be on its way still, no longer fits."""
        rows = self.filter(pk__in=list(ids), status=Status.QUEUED)
        return rows.update(published_at=None, fence=F("fence") + 1)


class Waiting(models.Model):
    """A row to be sent at its time. The row is the truth; queues only wake workers."""

    CLAIMED_WITH: ClassVar[tuple[str, ...]]
    """What a sender reads beside the row."""

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
