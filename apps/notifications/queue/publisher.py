"""Publishing outside the request: a thread takes the ids of committed rows and wakes the workers.

Delivery must not depend on it: ids that are still queued here when the process dies, or that the broker refuses,
belong to rows that are due and unpublished, and the scheduler publishes those.
"""

import atexit
import queue
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import structlog
from django.db.models.functions import Now

from apps.notifications.models import WAITING
from apps.notifications.queue import broker
from apps.notifications.queue.broker import Broker, BrokerUnavailable
from notifier.lib.database.recovery import DATABASE_ERRORS
from notifier.lib.threads import Loop

log = structlog.get_logger(__name__)

BATCH_SECONDS = 0.01
"""Between two publications: a single id goes out at once, those of a flood go out together."""
RECORD_EVERY_SECONDS = 0.4


class Wake(NamedTuple):
    """A row to publish. `fence` is the row's at that moment: where a sender has put the row
    back before the broker's confirmation was recorded, that must not mark the row as published."""

    channel: str
    priority: int
    id: str
    fence: int


Item = list[Wake] | dict[str, Any] | None
"""Rows, a dead letter's copy, or None, which only wakes the loop."""
Confirmed = dict[tuple[str, int], list[str]]
"""Ids by channel and fence."""


class Publisher:
    """Takes work from any thread; a loop in a thread of its own, started with the first item, publishes it."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._loop = Loop(
            "publisher",
            self._turn,
            begins=self._begin,
            ends=self._end,
            wake=lambda: self._work.put(None),
        )
        self._begin()

    def wake(self, rows: Iterable[Wake]) -> None:
        """Publish these rows' ids soon. Call after the commit."""
        self._work.put(list(rows))
        self._loop.start()

    def publish_dead_letter(self, body: dict[str, Any]) -> None:
        """Copy a dead letter's ids and code to `failed` soon. Call after the commit."""
        self._work.put(body)
        self._loop.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Publish and record what is queued, within `timeout` seconds, and disconnect. Later work starts anew."""
        self._loop.stop(timeout)

    def _begin(self) -> None:
        # In the loop's own thread: a forked child must not use its parent's connection.
        self._broker = Broker()
        self._confirmed: Confirmed = defaultdict(list)
        self._record_at = self._published_at = 0.0

    def _turn(self) -> None:
        timeout = max(0.0, self._record_at - time.monotonic()) if self._confirmed else None
        self._publish(self._batch(timeout, self._published_at + BATCH_SECONDS))
        if self._confirmed and time.monotonic() >= self._record_at:
            self._record()

    def _publish(self, batch: list[Item]) -> None:
        self._published_at = time.monotonic()
        if not self._confirmed:
            # Not at once: an idle worker has claimed the row by then, without waiting for a lock, and the record is
            # not needed any more.
            self._record_at = self._published_at + RECORD_EVERY_SECONDS
        for wakes in _messages(batch):
            lane = broker.lane(wakes[0].channel, wakes[0].priority)
            ids = [wake.id for wake in wakes]
            try:
                self._broker.wake(lane, wakes[0].channel, ids)
            except BrokerUnavailable:
                continue
            for wake in wakes:
                self._confirmed[wake.channel, wake.fence].append(wake.id)
        for body in (item for item in batch if isinstance(item, dict)):
            try:
                self._broker.publish_dead_letter(body)
            except BrokerUnavailable:
                # The DeadLetter row is stored; the copy only informs those who watch the queue.
                log.info("dead_letter_copy_dropped", delivery_id=body.get("delivery_id"))

    def _record(self) -> None:
        confirmed, self._confirmed = self._confirmed, defaultdict(list)
        try:
            _record(confirmed)
        except DATABASE_ERRORS as error:
            # The scheduler publishes an unrecorded row again, which costs a look at it. Wake-ups must not wait.
            log.warning("confirmations_not_recorded", reason=str(error))

    def _end(self) -> None:
        while batch := self._batch(0.0, time.monotonic()):
            self._publish(batch)
        if self._confirmed:
            self._record()
        self._broker.close()

    def _batch(self, timeout: float | None, ends: float) -> list[Item]:
        """What is queued, and what arrives until `ends`; empty if nothing comes for `timeout` seconds."""
        try:
            batch = [self._work.get(timeout=timeout)]
        except queue.Empty:
            return []
        # One sleep instead of a wake-up for every row: this thread takes CPU time from those that answer requests.
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
            lanes[broker.lane(wake.channel, wake.priority)].append(wake)
    for lane, wakes in lanes.items():
        size = broker.ids_per_message(lane)
        for start in range(0, len(wakes), size):
            yield wakes[start : start + size]


def _record(confirmed: Confirmed) -> None:
    for (channel, fence), ids in confirmed.items():
        rows = WAITING[channel].objects.filter(pk__in=ids, fence=fence, published_at=None)
        rows.update(published_at=Now())


publisher = Publisher()
atexit.register(publisher.stop)
