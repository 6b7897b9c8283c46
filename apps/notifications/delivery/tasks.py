"""The two Celery tasks: send these deliveries, and post these callbacks."""

import uuid
from collections.abc import Container
from typing import Any

import structlog
from celery import Task, shared_task
from celery.exceptions import Reject
from celery.signals import worker_init, worker_shutdown, worker_shutting_down
from django.db import connection

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.delivery.runtime import runtime
from apps.notifications.delivery.sender import deliver
from apps.notifications.models import CALLBACKS
from apps.notifications.queue import broker
from apps.notifications.queue.broker import CALL_BACK_TASK_NAME, MESSAGE_VERSION, TASK_NAME
from apps.notifications.webhooks.delivery import call_back
from notifier.lib.database.recovery import DATABASE_ERRORS

log = structlog.get_logger(__name__)


@shared_task(name=TASK_NAME, bind=True)
def deliver_rows(self: Task, **message: Any) -> None:
    """Send deliveries. `v`: the message's version, `channel`, `ids`: delivery ids. Other shapes are dead-lettered."""
    channel, ids = _read(message, DELIVERIES)
    lane = (self.request.delivery_info or {}).get("routing_key") or ""
    try:
        deliver(channel, ids, bulk=broker.is_bulk(lane))
    except DATABASE_ERRORS as error:
        # The process ends while the database is away; another process gets the message.
        raise Reject(f"database unavailable: {error}", requeue=True) from error


@shared_task(name=CALL_BACK_TASK_NAME)
def call_back_rows(**message: Any) -> None:
    """As `deliver_rows`, with ids of callbacks."""
    _, ids = _read(message, (CALLBACKS,))
    try:
        call_back(ids, stopping=runtime.stopping)
    except DATABASE_ERRORS as error:
        # The rows stay due, or become due when their lease lapses: the scheduler wakes a worker for them.
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
    runtime.start(sender)


@worker_shutting_down.connect
def _stop(**_: Any) -> None:
    runtime.stopping.set()


@worker_shutdown.connect
def _end(**_: Any) -> None:
    runtime.stop()
