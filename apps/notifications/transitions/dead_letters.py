"""Dead letters: created when a delivery ends in failure, closed when that is settled, replayed by an operator.

A replay is safe: it takes only eligible ones, each delivery once, in the bulk lane, and writes the audit log.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.models import BULK_BELOW, FREE, DeadLetter, Delivery, from_now
from apps.notifications.models.statuses import Status
from apps.notifications.queue.broker import Wake, publisher
from apps.notifications.transitions import timeline
from apps.notifications.transitions.status_changes import REPLAY_MOVES, change
from apps.users.audit_log import acting

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which dead letters; every part narrows. `reason` matches the dead letter's reason or its code."""

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


def create(row: Delivery, *, reason: str, code: str, detail: str) -> None:
    """The open dead letter of this failure, and its copy in RabbitMQ's `failed`. Call in the change's transaction."""
    # There may be one of this failure: closed by a late outcome, after which the delivery failed in the same way.
    dead_letter, _ = DeadLetter.objects.update_or_create(
        delivery_id=row.pk,
        epoch=row.epoch,
        reason=reason,
        defaults={
            "organization_id": row.organization_id,
            "notification_id": row.notification_id,
            "channel": row.channel,
            "code": code,
            "detail": detail,
            "state": DeadLetter.State.OPEN,
            "closed_at": None,
            "closed_by": "",
        },
    )
    copy = {
        "v": 1,
        "dead_letter_id": str(dead_letter.pk),
        "delivery_id": str(row.pk),
        "notification_id": str(row.notification_id),
        "channel": str(row.channel),
        "reason": reason,
        "code": code,
    }
    transaction.on_commit(lambda: publisher.publish_dead_letter(copy))


def close(rows: QuerySet[DeadLetter], state: str, *, by: str) -> int:
    """Close the open ones among these; returns how many there were."""
    return rows.filter(state=DeadLetter.State.OPEN).update(state=state, closed_at=Now(), closed_by=by[:64])


def close_unknown(pks: Iterable[Any], *, by: str = "late answer") -> list[Any]:
    """Close the dead letters that called these deliveries unknown, because what became of them is known now; returns
    the deliveries whose dead letters were open."""
    rows = DeadLetter.objects.filter(delivery_id__in=list(pks), reason=UNKNOWN, state=DeadLetter.State.OPEN)
    found = list(rows.select_for_update(of=("self",)).values_list("pk", "delivery_id"))
    if found:
        closing = DeadLetter.objects.filter(pk__in=[pk for pk, _ in found])
        close(closing, DeadLetter.State.DISCARDED, by=by)
    return [delivery for _, delivery in found]


def replay(dead_letter: DeadLetter, *, by: str) -> bool:
    """Queue its delivery again; False when another replay was first or the row has moved on."""
    if dead_letter.delivery_id is None:
        return False
    rows = DELIVERIES[dead_letter.channel].objects.filter(pk=dead_letter.delivery_id)
    with acting(by), transaction.atomic():
        moved = close(_itself(dead_letter), DeadLetter.State.REPLAYED, by=by) and change(
            rows,
            Status.QUEUED,
            REPLAY_MOVES,
            reason="",
            error_code="",
            error_detail="",
            epoch=F("epoch") + 1,
            attempts=0,
            resends=0,
            due_at=Now(),
            finished_at=None,
            deadline_at=from_now(DELIVERIES[dead_letter.channel].retried_for()),
            # A flood of old failures must not delay the transactional lane.
            priority=BULK_BELOW - 1,
            **FREE,
        )
        if not moved:
            # Nothing was queued: the dead letter stays open.
            transaction.set_rollback(True)
            return False
        row = rows.get()
        timeline.note(row, timeline.REPLAYED, by=by, dead_letter=str(dead_letter.pk), epoch=row.epoch)
        wake = Wake(row.channel, row.priority, str(row.pk), row.fence)
        transaction.on_commit(lambda: publisher.wake([wake]))
    return True


def discard(dead_letter: DeadLetter, *, by: str) -> bool:
    """Close an open one without a send; False when it was closed already. Its delivery stays as it ended."""
    with acting(by), transaction.atomic():
        done = close(_itself(dead_letter), DeadLetter.State.DISCARDED, by=by)
        row = (
            DELIVERIES[dead_letter.channel].objects.filter(pk=dead_letter.delivery_id).first()
            if dead_letter.channel
            else None
        )
        if done and row is not None:
            timeline.note(row, timeline.DISCARDED, by=by, dead_letter=str(dead_letter.pk))
    return bool(done)


def _itself(dead_letter: DeadLetter) -> QuerySet[DeadLetter]:
    return DeadLetter.objects.filter(pk=dead_letter.pk)
