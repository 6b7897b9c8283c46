"""Events of email services that this release can't read: kept as they came, counted, and read again by another."""

from collections.abc import Iterable, Iterator
from typing import Any

import structlog
from django.db.models import F
from django.db.models.functions import Now

from apps.notifications.channels.email.providers.esp import webhook_events
from apps.notifications.channels.tracking import key_of
from apps.notifications.feedback import tracking_events
from apps.notifications.models import UnreadEvent
from apps.notifications.routing.registry import service_of

log = structlog.get_logger(__name__)

KEPT = 1000
"""Open ones of an account: what comes after them is known by its like, and the service keeps it for hours."""
OCTETS = 256 * 1024
"""Of one event; known ones have a hundredth of it."""


def keep(source: str, post: webhook_events.Post, unread: Iterable[webhook_events.Unread]) -> None:
    """Keep each once; one that is told again is counted."""
    for one in unread:
        key = key_of(one.body.decode("latin-1"))
        told = UnreadEvent.objects.filter(source=source, key=key)
        if told.update(times=F("times") + 1):
            continue
        log.error("event_unread", provider=source, error=one.error, octets=len(one.body))
        # Counted where it is needed alone: this is a path that nothing should take.
        waiting = UnreadEvent.objects.filter(source=source, state=UnreadEvent.State.OPEN)
        if waiting.count() >= KEPT or len(one.body) > OCTETS:
            log.error("event_not_kept", provider=source, octets=len(one.body), kept=KEPT)
            continue
        row = UnreadEvent(
            source=source,
            key=key,
            body=one.body.decode("latin-1"),
            content_type=str(post.META.get("CONTENT_TYPE", ""))[:200] if post.form else "",
            event_id=str(post.META.get("HTTP_SVIX_ID", ""))[:255],
            error=one.error,
        )
        # Another request may tell of the same at this moment.
        UnreadEvent.objects.bulk_create([row], ignore_conflicts=True)


def read_again(rows: Any, *, by: str) -> Iterator[tuple[UnreadEvent, str]]:
    """Try these open ones, and apply what can be read now: yields each with what is still missed, or "".

    Raises DatabaseError. One of an account that the settings no longer name stays.
    """
    for row in rows.filter(state=UnreadEvent.State.OPEN).order_by("pk").iterator():
        settings = service_of(row.source)
        if settings is None or not settings.webhook:
            yield row, "The settings name no such account."
            continue
        meta = {"CONTENT_TYPE": row.content_type, "HTTP_SVIX_ID": row.event_id}
        post = webhook_events.Post(
            {name: value for name, value in meta.items() if value},
            row.body.encode("latin-1"),
            form=bool(row.content_type),
        )
        try:
            told, unread = webhook_events.read(settings, post)
        except webhook_events.NotTracking:
            yield row, "It is of mail that came in."
            continue
        if unread:
            UnreadEvent.objects.filter(pk=row.pk).update(error=unread[0].error)
            yield row, unread[0].error
            continue
        tracking_events.take(row.source, told)
        close(UnreadEvent.objects.filter(pk=row.pk), UnreadEvent.State.READ, by=by)
        yield row, ""


def close(rows: Any, state: str, *, by: str) -> int:
    """How many were open until now. What they say is forgotten."""
    closed: int = rows.filter(state=UnreadEvent.State.OPEN).update(
        state=state, body="", closed_at=Now(), closed_by=by[:64]
    )
    return closed


def forget(address: str, *, by: str) -> int:
    """Take out what names an erased person; returns how many did."""
    named = [
        row.pk
        for row in UnreadEvent.objects.filter(state=UnreadEvent.State.OPEN).iterator()
        if address.lower() in row.body.encode("latin-1").decode("utf-8", "replace").lower()
    ]
    return close(UnreadEvent.objects.filter(pk__in=named), UnreadEvent.State.IGNORED, by=by)
