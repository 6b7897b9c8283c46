"""Cancelling a notification while none of its deliveries was sent."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.errors import NotCancellable
from apps.notifications.models import Delivery, Notification
from apps.notifications.models.statuses import WENT_OUT, Status
from apps.notifications.transitions import timeline
from apps.notifications.transitions.status_changes import SENDER_MOVES, change
from apps.notifications.webhooks import events
from apps.templates import credentials


@transaction.atomic
def cancel(*, notification: Notification, by: str) -> None:
    """Cancel the queued deliveries. Raises NotCancellable once one is being sent or was sent; repeats do nothing."""
    if notification.template_version.template.code in credentials.CODES:
        # A caller that could cancel it would lock the person out of their account.
        raise NotCancellable("The email that sets a password can't be cancelled.")
    waiting = []
    for model in DELIVERIES.values():
        # Locked, so that no sender claims a row between the look and the change.
        rows = list(model.objects.select_for_update().filter(notification=notification))
        if any(row.status in (*WENT_OUT, Status.SENDING) or row.resends for row in rows):
            raise NotCancellable(
                "A delivery is on its way or was sent already; what was sent can't be taken back."
            )
        waiting += [row for row in rows if row.status == Status.QUEUED]
    take_back(waiting, by=by)


def take_back(waiting: Sequence[Delivery], *, by: str) -> None:
    """Cancel these queued rows, which the caller's transaction has locked."""
    for row in waiting:
        rows: Any = type(row).objects  # type: ignore[attr-defined]
        change(rows.filter(pk=row.pk), Status.CANCELLED, SENDER_MOVES, finished_at=Now())
        timeline.note(row, timeline.CANCELLED, by=by)
    events.announce([events.StatusChange(row, Status.CANCELLED) for row in waiting])
