"""Deletes old rows in small batches, so that nothing waits for a long transaction."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from apps.notifications.channels.logs import WAITING
from apps.notifications.models import (
    Callback,
    DeadLetter,
    IdempotencyRecord,
    Notification,
    ProviderEvent,
    UnreadEvent,
    from_now,
)
from apps.notifications.models.statuses import Status

BATCH = 500
DAY = 24 * 3600
UNFINISHED = (Status.QUEUED, Status.SENDING)
"""Without `unknown`: such a delivery waits for an operator only while its dead letter is open."""
KEY_DAYS = 2
"""How long answers to idempotency keys are kept; the API guarantees at least 24 hours."""


def candidates(days: int) -> list[tuple[str, QuerySet[Any]]]:
    """Rows older than `days`, by kind, without notifications that still wait for a send or an operator.

    Idempotency keys and refresh tokens have retention times of their own.
    """
    callbacks = Callback.objects.filter(finished_at__lt=from_now(-days * DAY))
    old = Notification.objects.filter(created_at__lt=from_now(-days * DAY))
    for model in WAITING.values():
        old = old.exclude(Exists(model.objects.filter(notification=OuterRef("pk"), status__in=UNFINISHED)))
    old = old.exclude(
        Exists(DeadLetter.objects.filter(notification=OuterRef("pk"), state=DeadLetter.State.OPEN))
    )
    keys = IdempotencyRecord.objects.filter(created_at__lt=from_now(-KEY_DAYS * DAY))
    dead_letters = DeadLetter.objects.filter(notification=None, created_at__lt=from_now(-days * DAY)).exclude(
        state=DeadLetter.State.OPEN
    )
    closed_events = UnreadEvent.objects.filter(closed_at__lt=from_now(-days * DAY))
    return [
        ("callbacks", callbacks),
        ("notifications", old),
        ("idempotency keys", keys),
        ("foreign dead letters", dead_letters),
        ("unread events that were closed", closed_events),
        ("provider events", ProviderEvent.objects.filter(due_at=None, created_at__lt=from_now(-days * DAY))),
        # Only ended sessions have a row, and an expired token is refused without it.
        ("ended sessions", OutstandingToken.objects.filter(expires_at__lt=Now())),
    ]


def purge(rows: QuerySet[Any]) -> Iterator[int]:
    """Delete the rows with their dependent rows; yields the number after each batch."""
    while ids := list(rows.order_by("id").values_list("pk", flat=True)[:BATCH]):
        rows.model.objects.filter(pk__in=ids).delete()
        yield len(ids)
