"""The heartbeat: one loop, a second a turn, in one process at a time."""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable

import structlog
from django.db import DatabaseError, IntegrityError, connection
from django.db.models.functions import Now

from apps.notifications.feedback.tracking_events import settle_due
from apps.notifications.models import TickLease, from_now
from apps.notifications.operations import deletion
from apps.notifications.queue.dead_letter_consumer import DeadLetterConsumer
from apps.notifications.scheduler.gauges import Gauges
from apps.notifications.scheduler.republisher import Republisher, free_lapsed
from notifier.lib.database.recovery import forget_broken_connections

log = structlog.get_logger(__name__)

EVERY_SECONDS = 1.0
LEASE_SECONDS = 5
NAME = "tick"


def hold_lease(holder: str) -> bool:
    """Take or keep the lease by one conditional UPDATE; a second tick finds it taken and does nothing."""
    mine = TickLease.objects.filter(name=NAME, holder=holder)
    lapsed = TickLease.objects.filter(name=NAME, lease_until__lt=Now())
    for rows in (mine, lapsed):
        if rows.update(holder=holder, lease_until=from_now(LEASE_SECONDS)):
            return True
    if TickLease.objects.filter(name=NAME).exists():
        return False
    try:
        TickLease.objects.create(name=NAME, holder=holder, lease_until=from_now(LEASE_SECONDS))
    except IntegrityError:
        return False
    return True


def run(stop: threading.Event) -> None:
    """Turn until `stop` is set. A turn that fails is logged, and the next one tries again."""
    holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    republisher = Republisher()
    dead_letter_consumer = DeadLetterConsumer()
    gauges = Gauges(republisher.broker)
    while not stop.is_set():
        began = time.monotonic()
        if _safely(lambda: hold_lease(holder)):
            freed = _safely(free_lapsed)
            published = _safely(republisher.republish)
            told = _safely(settle_due)
            consumed = _safely(dead_letter_consumer.turn)
            let_go = _safely(deletion.turn)
            _safely(gauges.turn)
            if freed or published or told or consumed or let_go:
                log.info(
                    "tick", freed=freed, published=published, told=told, consumed=consumed, let_go=let_go
                )
        else:
            gauges.forget()
        stop.wait(max(0.0, EVERY_SECONDS - (time.monotonic() - began)))
    gauges.forget()
    republisher.broker.close()
    dead_letter_consumer.close()
    TickLease.objects.filter(name=NAME, holder=holder).delete()
    connection.close()


def _safely(step: Callable[[], int]) -> int:
    """One step's result, 0 where it failed: no step of recovery may keep another from its work."""
    try:
        return step()
    except DatabaseError as error:
        log.error("database_unavailable", reason=str(error))
        forget_broken_connections()
    except Exception:
        log.exception("tick_failed")
    return 0
