"""Sending dead letters again, safely: only what is eligible, each once, on the bulk lane, on the record."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from apps.notifications.models import BULK_BELOW, DELIVERIES, DeadLetter, from_now
from apps.notifications.models.statuses import REPLAY_MOVES
from apps.notifications.queue.publisher import Wake, publisher
from apps.notifications.transitions import timeline
from apps.notifications.transitions.retry_schedule import policy_for
from apps.users.audit_log import acting

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which dead letters; every part narrows. `reason` matches the letter's reason or its code."""

    channel: str = ""
    reason: str = ""
    template: str = ""
    organization: str = ""
    request_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    live: bool | None = None
    """False: only what test keys sent."""
    ids: tuple[uuid.UUID, ...] | None = None

    def dead_letters(self) -> QuerySet[DeadLetter]:
        """The eligible ones, oldest first: open, of a delivery, and not past the notification's expiry.

        An `unknown` may have reached the person, so it comes along only where `reason` asks for it.
        """
        rows = DeadLetter.objects.filter(
            Q(notification__expires_at=None) | Q(notification__expires_at__gt=Now()),
            state=DeadLetter.State.OPEN,
            delivery_id__isnull=False,
        ).order_by("id")
        rows = rows.filter(Q(reason=self.reason) | Q(code=self.reason)) if self.reason else rows
        if self.reason != UNKNOWN:
            rows = rows.exclude(reason=UNKNOWN)
        wanted: dict[str, Any] = {
            "channel": self.channel,
            "notification__template_version__template__code": self.template,
            "organization__slug": self.organization,
            "notification__request_id": self.request_id,
            "created_at__gte": self.since,
            "created_at__lt": self.until,
            "notification__live": self.live,
            "pk__in": self.ids,
        }
        return rows.filter(**{path: value for path, value in wanted.items() if value not in ("", None)})


def replay(dead_letter: DeadLetter, *, by: str) -> bool:
    """Queue the letter's delivery again; False when another replay was first or the row has moved on."""
    if dead_letter.delivery_id is None:
        return False
    model = DELIVERIES[dead_letter.channel]
    with acting(by), transaction.atomic():
        taken = DeadLetter.objects.filter(pk=dead_letter.pk, state=DeadLetter.State.OPEN).update(
            state=DeadLetter.State.REPLAYED, closed_at=Now(), closed_by=by[:64]
        )
        moved = taken and model.objects.filter(
            pk=dead_letter.delivery_id, status__in=list(REPLAY_MOVES)
        ).update(
            status="queued",
            reason="",
            error_code="",
            error_detail="",
            epoch=F("epoch") + 1,
            attempts=0,
            resends=0,
            due_at=Now(),
            published_at=None,
            lease_until=None,
            finished_at=None,
            deadline_at=from_now(policy_for(dead_letter.channel).deadline),
            # A flood of old failures must not stand before what people wait for now.
            priority=BULK_BELOW - 1,
        )
        if not moved:
            # The letter stays open: nothing came of it.
            transaction.set_rollback(True)
            return False
        row = model.objects.get(pk=dead_letter.delivery_id)
        timeline.note(row, timeline.REPLAYED, by=by, dead_letter=str(dead_letter.pk), epoch=row.epoch)
        wake = Wake(row.channel, row.priority, str(row.pk), row.fence)
        transaction.on_commit(lambda: publisher.wake([wake]))
    return True


def discard(dead_letter: DeadLetter, *, by: str) -> bool:
    """Close an open letter without a send; False when it was closed already. Its delivery stays as it ended."""
    with acting(by), transaction.atomic():
        done = DeadLetter.objects.filter(pk=dead_letter.pk, state=DeadLetter.State.OPEN).update(
            state=DeadLetter.State.DISCARDED, closed_at=Now(), closed_by=by[:64]
        )
        row = (
            DELIVERIES[dead_letter.channel].objects.filter(pk=dead_letter.delivery_id).first()
            if dead_letter.channel
            else None
        )
        if done and row is not None:
            timeline.note(row, timeline.DISCARDED, by=by, dead_letter=str(dead_letter.pk))
    return bool(done)
