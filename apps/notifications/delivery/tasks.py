"""The two tasks: look at these rows, deliveries or callbacks."""

import uuid
from collections.abc import Container
from typing import Any

import structlog
from celery import Task, shared_task
from celery.exceptions import Reject
from celery.signals import worker_init, worker_shutdown, worker_shutting_down
from django.db import DatabaseError, connection

from apps.notifications.delivery.crash_recovery import crash_recovery
from apps.notifications.delivery.journal import journal
from apps.notifications.delivery.send_slots import send_slots
from apps.notifications.delivery.sender import deliver
from apps.notifications.delivery.stopping import stopping
from apps.notifications.models import CALLBACKS, DELIVERIES
from apps.notifications.observability.exposition import exposition
from apps.notifications.queue import topology
from apps.notifications.queue.broker import CALL_BACK_TASK_NAME, MESSAGE_VERSION, TASK_NAME
from apps.notifications.queue.publisher import publisher
from apps.notifications.routing.registry import close_all
from apps.notifications.webhooks import event_exchange
from apps.notifications.webhooks.delivery import call_back

log = structlog.get_logger(__name__)

POOL_PATIENCE = 10.0
"""Seconds that a sender waits for one of its process's connections. A request has to give up after one; a burst
of claims on a small pool is served in turn, and took for an outage it would put its rows back."""


BATCHES_AT_ONCE, SLOTS_PER_BATCH = 4, 2
"""How many chunks a worker of the bulk lanes has in hand, at least if it has the wires; and one for so many of these.
Every wire that joins a chunk waits once more for its first message, and its end is sent over fewer and fewer."""


@shared_task(name=TASK_NAME, bind=True)
def deliver_rows(self: Task, **message: Any) -> None:
    """`v`: the message's version, `channel`, `ids`: delivery ids. A message of another shape is dead-lettered."""
    channel, ids = _read(message, DELIVERIES)
    lane = (self.request.delivery_info or {}).get("routing_key") or ""
    try:
        deliver(channel, ids, bulk=topology.is_bulk(lane))
    except DatabaseError as error:
        # The process ends while the database is away; the message is for whoever comes next.
        raise Reject(f"database unavailable: {error}", requeue=True) from error


@shared_task(name=CALL_BACK_TASK_NAME)
def call_back_rows(**message: Any) -> None:
    """As `deliver_rows`, with ids of callbacks."""
    _, ids = _read(message, (CALLBACKS,))
    try:
        call_back(ids, stopping=stopping)
    except DatabaseError as error:
        # The rows stay due, or their lease frees them: the tick wakes somebody once the database is back.
        connection.close()
        log.warning("database_unavailable", reason=str(error))


def _read(message: dict[str, Any], channels: Container[str]) -> tuple[str, list[str]]:
    try:
        if message["v"] != MESSAGE_VERSION:
            raise ValueError(f"version {message['v']!r}")
        if message["channel"] not in channels:
            raise ValueError(f"channel {message['channel']!r}")
        return str(message["channel"]), [str(uuid.UUID(pk)) for pk in message["ids"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        log.error("message_not_understood", reason=f"{type(error).__name__}: {error}")
        raise Reject(f"not understood: {error}", requeue=False) from error


@worker_init.connect
def _begin(sender: Any, **_: Any) -> None:
    exposition.start()
    send_slots.limit = int(sender.concurrency)
    if all(topology.is_bulk(lane) for lane in sender.app.amqp.queues.consume_from):
        # A chunk is sent over as many wires as it can use. A process that takes as many chunks as it has wires
        # leaves the others nothing to do.
        sender.concurrency = min(
            sender.concurrency, max(BATCHES_AT_ONCE, send_slots.limit // SLOTS_PER_BATCH)
        )
        # A chunk takes long enough for the next message to come; what one process holds, another can't take.
        sender.prefetch_multiplier = 1
    else:
        # Beside as many as one organization may use, some for whoever has nothing on the wire yet.
        sender.concurrency += max(1, sender.concurrency // 4)
        send_slots.limit = sender.concurrency
    crash_recovery.start()
    pool = getattr(connection, "pool", None)
    if pool is not None:
        pool.timeout = POOL_PATIENCE


@worker_shutting_down.connect
def _stop(**_: Any) -> None:
    stopping.set()


@worker_shutdown.connect
def _hang_up(**_: Any) -> None:
    send_slots.join()
    journal.end()
    close_all()
    event_exchange.close()
    publisher.stop()
