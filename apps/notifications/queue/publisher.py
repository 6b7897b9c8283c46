"""Publishing outside the request: a thread takes the ids of committed rows and wakes the workers.

Nothing here may be relied upon: ids still in hand when the process dies, or refused by the broker, belong to
rows that are due and unpublished, and the tick publishes those.
"""

import atexit
import os
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import structlog
from django.db import DatabaseError, connection
from django.db.models.functions import Now

from apps.notifications.models import WAITING
from apps.notifications.queue import topology
from apps.notifications.queue.broker import Broker, BrokerUnavailable

log = structlog.get_logger(__name__)

APART_SECONDS = 0.01
"""Between two publications: one that comes alone goes out at once, those of a flood go out together."""
RECORD_EVERY_SECONDS = 0.4


class Wake(NamedTuple):
    """A row to publish. `fence` is the row's at that moment: a sender that was quicker than the record of the
    confirmation, and put the row back, must not find it marked as published."""

    channel: str
    priority: int
    id: str
    fence: int


Item = list[Wake] | dict[str, Any] | None
"""Rows, a dead letter's copy, or None: the end."""
Confirmed = dict[tuple[str, int], list[str]]
"""Ids by channel and fence."""


class Publisher:
    """Hand it work from any thread; one thread of its own, started at the first, does it."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def wake(self, rows: Iterable[Wake]) -> None:
        """Publish these rows' ids soon. Call after the commit."""
        self._work.put(list(rows))
        self._ensure_thread()

    def publish_dead_letter(self, body: dict[str, Any]) -> None:
        """Copy a dead letter's ids and code to `failed` soon. Call after the commit."""
        self._work.put(body)
        self._ensure_thread()

    def stop(self, timeout: float = 2.0) -> None:
        """Publish and record what is in hand, within `timeout` seconds, and hang up. Later work starts anew."""
        thread = self._thread
        if thread is not None and self._pid == os.getpid() and thread.is_alive():
            self._work.put(None)
            thread.join(timeout)

    def _ensure_thread(self) -> None:
        # A forked child inherits the object without its thread.
        if self._thread is None or self._pid != os.getpid() or not self._thread.is_alive():
            with self._lock:
                if self._thread is None or self._pid != os.getpid() or not self._thread.is_alive():
                    self._pid = os.getpid()
                    self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        broker = Broker()
        confirmed: Confirmed = defaultdict(list)
        record_at = published_at = 0.0
        ended = False
        while not ended:
            patience = max(0.0, record_at - time.monotonic()) if confirmed else None
            batch = self._batch(patience, published_at + APART_SECONDS)
            published_at = time.monotonic()
            if not confirmed:
                # Not at once: a worker that is awake has the row by then; it waits for no lock, and needs no record.
                record_at = published_at + RECORD_EVERY_SECONDS
            for wakes in _messages(batch):
                lane = topology.lane(wakes[0].channel, wakes[0].priority)
                ids = [wake.id for wake in wakes]
                try:
                    broker.wake(lane, wakes[0].channel, ids)
                except BrokerUnavailable:
                    continue
                for wake in wakes:
                    confirmed[wake.channel, wake.fence].append(wake.id)
            for body in (item for item in batch if isinstance(item, dict)):
                try:
                    broker.publish_dead_letter(body)
                except BrokerUnavailable:
                    # The DeadLetter row stands; the copy is for onlookers only.
                    log.info("dead_letter_copy_dropped", delivery_id=body.get("delivery_id"))
            ended = None in batch
            if confirmed and (time.monotonic() >= record_at or ended):
                _record(confirmed)
                confirmed.clear()
        broker.close()

    def _batch(self, patience: float | None, ends: float) -> list[Item]:
        """What there is, and what arrives until `ends`; empty after `patience` seconds of nothing."""
        try:
            batch = [self._work.get(timeout=patience)]
        except queue.Empty:
            return []
        # Asleep, not woken by every row: the thread is one of those that answer requests.
        time.sleep(max(0.0, ends - time.monotonic()))
        while len(batch) < 1000:
            try:
                batch.append(self._work.get_nowait())
            except queue.Empty:
                break
        return batch


def _messages(batch: list[Item]) -> Iterable[list[Wake]]:
    lanes: dict[str, list[Wake]] = defaultdict(list)
    for item in batch:
        for wake in item if isinstance(item, list) else ():
            lanes[topology.lane(wake.channel, wake.priority)].append(wake)
    for lane, wakes in lanes.items():
        size = topology.ids_a_message(lane)
        for start in range(0, len(wakes), size):
            yield wakes[start : start + size]


def _record(confirmed: Confirmed) -> None:
    try:
        for (channel, fence), ids in confirmed.items():
            rows = WAITING[channel].objects.filter(pk__in=ids, fence=fence, published_at=None)
            rows.update(published_at=Now())
    except DatabaseError as error:
        # Unrecorded means published once more by the tick, which costs a look at the row.
        log.warning("confirmations_not_recorded", reason=str(error))
    finally:
        connection.close()


publisher = Publisher()
atexit.register(publisher.stop)
