"""Tracking events that this release can't read: stored as they came, counted, and read again by a later release."""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote_plus

import structlog
from django.db.models import F
from django.db.models.functions import Now

from apps.notifications.channels.tracking import NotTracking, Post, Unread, key_of
from apps.notifications.feedback import tracking_events
from apps.notifications.models import UnreadEvent
from apps.notifications.routing.accounts import events_of

log = structlog.get_logger(__name__)

OPEN_LIMIT = 1000
"""Open events stored for an account. Later ones are dropped: they are most likely alike, and the service retries
for hours."""
SIZE_LIMIT = 256 * 1024
"""Octets of one event; ordinary ones have a hundredth of it."""


def keep(source: str, post: Post, unread: Iterable[Unread], *, identified_by: str) -> None:
    """Store each event once; one that is reported again is counted. `identified_by`: see `EventsReader`."""
    for one in unread:
        key = key_of(one.body.decode("latin-1"))
        same = UnreadEvent.objects.filter(source=source, key=key)
        if same.update(times=F("times") + 1):
            continue
        log.error("event_unread", provider=source, error=one.error, octets=len(one.body))
        # Counted only here: unreadable events are rare.
        waiting = UnreadEvent.objects.filter(source=source, state=UnreadEvent.State.OPEN)
        if waiting.count() >= OPEN_LIMIT or len(one.body) > SIZE_LIMIT:
            log.error("event_not_kept", provider=source, octets=len(one.body), kept=OPEN_LIMIT)
            continue
        row = UnreadEvent(
            source=source,
            key=key,
            body=one.body.decode("latin-1"),
            content_type=str(post.meta.get("CONTENT_TYPE", ""))[:200] if post.form else "",
            event_id=str(post.meta.get(identified_by, ""))[:255],
            error=one.error,
        )
        # A concurrent request may store the same event.
        UnreadEvent.objects.bulk_create([row], ignore_conflicts=True)


def read_again(rows: Any, *, by: str) -> Iterator[tuple[UnreadEvent, str]]:
    """Read these open events again, and apply those that can be read now. Yields each with its error, or "".

    Raises DatabaseError. Events of an account that the settings no longer name stay open.
    """
    for row in rows.filter(state=UnreadEvent.State.OPEN).order_by("pk").iterator():
        reader = events_of(row.source)
        if reader is None or not reader.verifies:
            yield row, "The settings name no such account."
            continue
        meta = {"CONTENT_TYPE": row.content_type, reader.identified_by: row.event_id}
        post = Post(
            {name: value for name, value in meta.items() if value},
            row.body.encode("latin-1"),
            form=bool(row.content_type),
        )
        try:
            tracked, unread = reader.read(post)
        except NotTracking:
            yield row, "It is about inbound mail."
            continue
        if unread:
            UnreadEvent.objects.filter(pk=row.pk).update(error=unread[0].error)
            yield row, unread[0].error
            continue
        tracking_events.record(row.source, tracked)
        close(UnreadEvent.objects.filter(pk=row.pk), UnreadEvent.State.READ, by=by)
        yield row, ""


def close(rows: Any, state: str, *, by: str) -> int:
    """Close these events and delete their bodies. Returns how many were open."""
    closed: int = rows.filter(state=UnreadEvent.State.OPEN).update(
        state=state, body="", closed_at=Now(), closed_by=by[:64]
    )
    return closed


def _text_of(row: UnreadEvent) -> str:
    text = row.body.encode("latin-1").decode("utf-8", "replace").lower()
    return unquote_plus(text) if row.content_type else text


def forget(address: str, *, by: str) -> int:
    """Close the open events that contain an erased person's address; returns how many did."""
    named = [
        row.pk
        for row in UnreadEvent.objects.filter(state=UnreadEvent.State.OPEN).iterator()
        if address.lower() in _text_of(row)
    ]
    return close(UnreadEvent.objects.filter(pk__in=named), UnreadEvent.State.IGNORED, by=by)
