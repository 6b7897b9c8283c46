"""Tracking events of email services and bounces by mail: stored first, applied once their delivery is known."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models.functions import Now

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.channels.tracking import Kind, Reply, TrackingEvent
from apps.notifications.feedback import replies
from apps.notifications.models import Delivery, Event, ProviderEvent, from_now
from apps.notifications.models.statuses import Status
from apps.notifications.routing.accounts import channels_of
from apps.notifications.transitions import receipts, timeline
from apps.templates.authoring.redaction import redacted, secrets_in

log = structlog.get_logger(__name__)

MOVES = {Kind.SENT: Status.SENT, Kind.DELIVERED: Status.DELIVERED, Kind.BOUNCED: Status.BOUNCED}
ONCE = (Kind.OPENED, Kind.CLICKED)
"""A person may do it any number of times; the timeline has one entry."""
BEING_SENT = (Status.QUEUED, Status.SENDING)
"""The tracking event may arrive before the send is recorded."""
SHORTEST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(hours=1)
PATIENCE = timedelta(days=3)
"""An event without a delivery by then is about a message that was not sent from here."""
ROWS_A_PASS = 500


def record(source: str, events: Iterable[TrackingEvent | Reply]) -> int:
    """Store the events that `source` has not reported before, and apply replies, and those whose delivery is known;
    returns how many were new."""
    given = list(events)
    rows = [
        ProviderEvent(
            source=source,
            key=one.key,
            kind=one.kind,
            delivery_id=one.delivery_id,
            provider_message_id=one.provider_message_id,
            detail=one.detail,
            permanent=one.permanent,
        )
        for one in given
        if isinstance(one, TrackingEvent)
    ]
    ProviderEvent.objects.bulk_create(rows, ignore_conflicts=True)
    # Rows of events that were reported before have other ids.
    new = set(ProviderEvent.objects.filter(pk__in=[row.pk for row in rows]).values_list("pk", flat=True))
    for row in rows:
        if row.pk in new:
            _settle(row.pk)
    return len(new) + sum(replies.apply(source, one) for one in given if isinstance(one, Reply))


def settle_due() -> int:
    """Try again to apply events that wait for their delivery; returns how many were applied."""
    due = ProviderEvent.objects.filter(due_at__lte=Now()).order_by("due_at")
    applied = 0
    for pk in due.values_list("pk", flat=True)[:ROWS_A_PASS]:
        try:
            applied += _settle(pk)
        except Exception:
            # An event that can't be applied must not block the others.
            log.exception("provider_event_not_applied", event_id=str(pk))
            ProviderEvent.objects.filter(pk=pk).update(due_at=from_now(LONGEST_WAIT.total_seconds()))
    return applied


@transaction.atomic
def _settle(pk: Any) -> bool:
    """Apply the event if its delivery is known. Returns whether it was applied now."""
    events = ProviderEvent.objects.filter(pk=pk)
    event = events.exclude(due_at=None).select_for_update().annotate(now=Now()).first()
    if event is None:
        return False
    row = _delivery(event)
    if row is None or row.status in BEING_SENT:
        age = event.now - event.created_at
        # The wait is at most as long as the event's age, so the delay at most doubles.
        wait = min(max(age, SHORTEST_WAIT), LONGEST_WAIT)
        given_up = age > PATIENCE
        events.update(due_at=None if given_up else from_now(wait.total_seconds()))
        if given_up:
            log.info("provider_event_unclaimed", event_id=str(pk), source=event.source, kind=event.kind)
        return False
    _apply(row, event)
    # The detail is in the timeline now; the row stays to recognize the event when it is reported again.
    events.update(due_at=None, detail="")
    return True


def _delivery(event: ProviderEvent) -> Delivery | None:
    """The event's delivery, locked; None: not known. The organization is the row's own, as no event names one."""
    # Two accounts may use the same ids.
    by_service = {"provider_message_id": event.provider_message_id, "provider": event.source}
    ways: list[dict[str, Any]] = [{"pk": event.delivery_id}] if event.delivery_id is not None else []
    ways += [by_service] if event.provider_message_id else []
    for way in ways:
        for channel in channels_of(event.source):
            rows = DELIVERIES[channel].objects.select_for_update()
            found: Delivery | None = rows.filter(**way).order_by("-id").first()
            if found is not None:
                return found
    return None


def _apply(row: Delivery, event: ProviderEvent) -> None:
    kind = Kind(event.kind)
    notification = row.notification
    detail = redacted(event.detail, secrets_in(notification.template_version_id, notification.variables))
    data = {"source": event.source, "detail": detail}
    if kind in MOVES:
        receipt = receipts.Receipt(
            channel=row.channel, status=MOVES[kind], detail=detail, permanent=event.permanent
        )
        moved = receipts.move(row, receipt)
        if kind is Kind.BOUNCED and not moved and row.status != Status.BOUNCED:
            # The delivery keeps its later status, but the address may have been suppressed: the timeline explains it.
            timeline.note(row, kind, **data, kept=row.status)
        return
    if kind in ONCE and Event.objects.filter(delivery_id=row.pk, kind=kind, notification=row.notification_id):
        return
    if kind is Kind.COMPLAINED:
        receipts.complain(row, **data)
        return
    timeline.note(row, kind, **data)
