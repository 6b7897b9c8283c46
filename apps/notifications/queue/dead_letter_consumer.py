"""The consumer of the queue `failed`: copies of stored dead letters are dropped, unreadable messages are stored."""

import hashlib
import json
import time
import uuid
from typing import Any

import structlog
from celery import current_app
from django.db import transaction
from kombu import Connection

from apps.notifications.channels.logs import WAITING
from apps.notifications.models import DeadLetter
from apps.notifications.queue import broker
from apps.notifications.queue.broker import ANSWER_SECONDS, BROKER_ERRORS, CONNECT_SECONDS, PAUSE_SECONDS

log = structlog.get_logger(__name__)

MESSAGES_PER_PASS = 100
BODY_LIMIT = 4096
"""Bytes of a foreign message that are stored."""
CHECK_EVERY_SECONDS = 5.0


class DeadLetterConsumer:
    """Reads `failed` with plain kombu: no message in there may be run as a Celery task again."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._next_at = 0.0

    def consume_if_due(self) -> int:
        """Take what waits, up to a bound; returns how many. While the broker is away it takes none."""
        return 0 if time.monotonic() < self._next_at else self.consume_now()

    def consume_now(self) -> int:
        """As `consume_if_due`, whenever the last pass was."""
        self._next_at = time.monotonic() + CHECK_EVERY_SECONDS
        try:
            taken = self._take()
            if taken == MESSAGES_PER_PASS:
                # There is more: after a mass failure the queue must shrink faster than it grows.
                self._next_at = 0.0
            return taken
        except BROKER_ERRORS as error:
            log.warning("dead_letter_consumer_interrupted", reason=f"{type(error).__name__}: {error}")
            self.close()
            self._next_at = time.monotonic() + PAUSE_SECONDS
            return 0

    def close(self) -> None:
        """Drop the connection; the next pass opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.collect()

    def _take(self) -> int:
        if self._connection is None:
            self._connection = current_app.connection_for_read(
                connect_timeout=CONNECT_SECONDS,
                transport_options={"read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS},
            )
        with self._connection.channel() as channel:
            broker.declare(channel)
            taken = 0
            while taken < MESSAGES_PER_PASS and (message := channel.basic_get(broker.FAILED)) is not None:
                store(message)
                # Acknowledged last: after a crash the message comes again, and its hash shows that it is stored.
                channel.basic_ack(message.delivery_tag)
                taken += 1
            return taken


def store(message: Any) -> None:
    """Store a foreign message as a DeadLetter, and wake the rows that it names once more."""
    raw = message.body if isinstance(message.body, bytes) else str(message.body).encode()
    content = _json(raw)
    if isinstance(content, dict) and _known(content.get("dead_letter_id")):
        return
    death = _death(message.headers)
    digest = hashlib.sha256(raw).hexdigest()
    with transaction.atomic():
        if not DeadLetter.objects.filter(body_hash=digest, state=DeadLetter.State.OPEN).exists():
            DeadLetter.objects.create(
                body_hash=digest,
                reason=_plain(death.get("reason", "foreign_message"), 64),
                queue=_plain(death.get("queue", ""), 64),
                body=raw[:BODY_LIMIT],
                detail=f"{len(raw)} bytes, content type {_plain(message.content_type, 100)}",
            )
        _wake_again(content)
    log.error("message_dead_lettered", size=len(raw), sha256=digest, queue=str(death.get("queue", "")))


def _death(headers: Any) -> dict[str, Any]:
    """The newest entry of `x-death`; any client may publish to `failed`, so it may have any shape."""
    deaths = headers.get("x-death") if isinstance(headers, dict) else None
    newest = deaths[0] if isinstance(deaths, list) and deaths else None
    return newest if isinstance(newest, dict) else {}


def _plain(value: Any, limit: int) -> str:
    return str(value).replace("\0", "")[:limit]


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _known(pk: Any) -> bool:
    try:
        return DeadLetter.objects.filter(pk=uuid.UUID(str(pk))).exists()
    except ValueError:
        return False


def _wake_again(content: Any) -> None:
    """Mark the rows of a poisoned wake-up as unpublished: the scheduler finds them, and no notification is lost."""
    try:
        arguments = content[1]
        ids = [uuid.UUID(str(pk)) for pk in arguments["ids"]]
        model = WAITING[arguments["channel"]]
    except (KeyError, TypeError, ValueError, IndexError):
        return
    model.objects.unpublish(ids)
