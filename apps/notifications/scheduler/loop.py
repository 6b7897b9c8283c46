"""The scheduler's loop (`manage.py tick`): one pass a second, in one process at a time."""

import os
import secrets
import socket
import threading
import time

import structlog
from django.db import IntegrityError, connection
from django.db.models.functions import Now

from apps.notifications.feedback.tracking_events import settle_due
from apps.notifications.models import TickLease, from_now
from apps.notifications.operations import deletion
from apps.notifications.queue.dead_letter_consumer import DeadLetterConsumer
from apps.notifications.scheduler.gauges import Gauges
from apps.notifications.scheduler.republisher import Republisher, free_lapsed
from notifier.lib.threads import Loop

log = structlog.get_logger(__name__)

EVERY_SECONDS = 1.0
LEASE_SECONDS = 5
NAME = "tick"


def hold_lease(holder: str) -> bool:
    """Take or keep the lease by one conditional UPDATE; a second scheduler finds it held and does nothing."""
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
    """Run passes until `stop` is set. A step that raises is logged, and the other steps run all the same."""
    holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    republisher = Republisher()
    dead_letter_consumer = DeadLetterConsumer()
    gauges = Gauges(republisher.broker)
    lease = Loop("scheduler-lease", lambda: hold_lease(holder))
    steps = {
        "freed": Loop("free-lapsed", free_lapsed),
        "published": Loop("republisher", republisher.republish),
        "tracking_events": Loop("tracking-events", settle_due),
        "dead_letters": Loop("dead-letter-consumer", dead_letter_consumer.consume_if_due),
        "deleted": Loop("deletion", deletion.turn),
        "gauges": Loop("gauges", gauges.refresh_if_due),
    }
    while not stop.is_set():
        began = time.monotonic()
        if lease.run_turn():
            did = {name: step.run_turn() for name, step in steps.items()}
            if any(did.values()):
                log.info("tick", **{name: count or 0 for name, count in did.items() if name != "gauges"})
        else:
            gauges.forget()
        stop.wait(max(0.0, EVERY_SECONDS - (time.monotonic() - began)))
    for step in (lease, *steps.values()):
        step.stop()
    gauges.forget()
    republisher.broker.close()
    dead_letter_consumer.close()
    TickLease.objects.filter(name=NAME, holder=holder).delete()
    connection.close()
