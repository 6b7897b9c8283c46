"""What a worker process keeps beside its tasks: send slots, a journal, the batches in hand, and the loops that look
after them. One object starts, watches and stops it all."""

import threading
from collections.abc import Callable
from typing import Any, Protocol

from django.db import connection

from apps.notifications.delivery.crash_recovery import EVERY_SECONDS, CrashRecovery
from apps.notifications.delivery.fair_claims import BulkTurns
from apps.notifications.delivery.journal import Journal
from apps.notifications.delivery.send_slots import SendSlots
from apps.notifications.observability.exposition import exposition
from apps.notifications.queue import topology
from apps.notifications.queue.publisher import publisher
from apps.notifications.routing.registry import close_all
from apps.notifications.webhooks import event_exchange
from notifier.lib.database import recovery
from notifier.lib.threads import Loop

LOOK_EVERY_SECONDS = 0.5
POOL_PATIENCE = 10.0
"""Seconds that a sender waits for one of its process's connections. A request has to give up after one; a burst of
claims on a small pool is served in turn, and took for an outage it would put its rows back."""
BATCHES_AT_ONCE, SLOTS_PER_BATCH = 4, 2
"""How many batches a worker of the bulk lanes has in hand: at least the first if it has the slots, and one for
so many of these. Every slot that joins a batch waits once more for its first message, and its end is sent over
fewer and fewer."""


class Watched(Protocol):
    """A batch, as the loop that looks after it sees it."""

    def look(self) -> None: ...


class WorkerRuntime:
    def __init__(self) -> None:
        self.stopping = threading.Event()
        """Set when the process is asked to end: what is not begun is left to others."""
        self.slots = SendSlots()
        self.journal = Journal()
        self.turns = BulkTurns()
        self._batches: set[Watched] = set()
        self._lock = threading.Lock()
        self._watcher = Loop("batches", self._look_at_batches, every=LOOK_EVERY_SECONDS)
        self.crash_recovery = CrashRecovery()
        self._recovery = Loop("crash-recovery", self.crash_recovery.turn, every=EVERY_SECONDS)

    def start(self, worker: Any) -> None:
        """At the beginning of a worker process. `worker`: Celery's, whose concurrency and prefetch fit its lanes."""
        self._size(worker)
        exposition.start()
        self._recovery.start()
        pool = getattr(connection, "pool", None)
        if pool is not None:
            pool.timeout = POOL_PATIENCE

    def stop(self) -> None:
        """At its end, in the order in which the parts need each other."""
        self.slots.join()
        self.journal.end()
        close_all()
        event_exchange.close()
        publisher.stop()
        self._recovery.stop()
        self._watcher.stop()

    def watch(self, batch: Watched) -> None:
        with self._lock:
            self._batches.add(batch)
        self._watcher.start()

    def unwatch(self, batch: Watched) -> None:
        with self._lock:
            self._batches.discard(batch)

    def retry_until_recorded(self, event: str, work: Callable[[], Any]) -> None:
        """As `recovery.retry_until_recorded`, until this process ends."""
        recovery.retry_until_recorded(event, work, stopping=self.stopping)

    def _size(self, worker: Any) -> None:
        self.slots.limit = int(worker.concurrency)
        if all(topology.is_bulk(lane) for lane in worker.app.amqp.queues.consume_from):
            # A batch is sent through as many slots as it can use: a process that takes as many batches as it has
            # slots leaves the others nothing to do.
            worker.concurrency = min(
                worker.concurrency, max(BATCHES_AT_ONCE, self.slots.limit // SLOTS_PER_BATCH)
            )
            # A batch takes long enough for the next message to come; what one process holds, another can't take.
            worker.prefetch_multiplier = 1
        else:
            # Beside as many as one organization may use, some for one that sends nothing yet.
            worker.concurrency += max(1, worker.concurrency // 4)
            self.slots.limit = worker.concurrency

    def _look_at_batches(self) -> None:
        with self._lock:
            batches = list(self._batches)
        failed: Exception | None = None
        for batch in batches:
            try:
                batch.look()
            except Exception as error:  # noqa: BLE001 - raised again below
                # One that fails must not keep the others waiting; the loop says what it was.
                failed = failed or error
        if failed is not None:
            raise failed


runtime = WorkerRuntime()
