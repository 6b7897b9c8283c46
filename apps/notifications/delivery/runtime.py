"""What a worker process has beside its tasks: send slots, a journal, the batches that are being sent, and the loops
that watch them. One object starts, watches and stops it all."""

import threading
from typing import Any, Protocol

from django.db import connection

from apps.notifications.delivery.crash_recovery import EVERY_SECONDS, CrashRecovery
from apps.notifications.delivery.journal import Journal
from apps.notifications.delivery.send_slots import SendSlots
from apps.notifications.observability.exposition import exposition
from apps.notifications.queue import broker
from apps.notifications.queue.broker import publisher
from apps.notifications.routing.accounts import close_all
from apps.notifications.transitions.claims import BulkRoundRobin
from apps.notifications.webhooks import event_exchange
from notifier.lib.threads import Loop

LOOK_EVERY_SECONDS = 0.5
POOL_PATIENCE = 10.0
"""Seconds that a sender waits for a connection of its process's pool. A request has to give up after one second; a
burst of claims on a small pool is served one by one, and an error would count as an outage and release the rows."""
BATCHES_AT_ONCE, SLOTS_PER_BATCH = 4, 2
"""How many batches a worker of the bulk lanes sends at once: the first number if it has the slots, or one for every
`SLOTS_PER_BATCH` slots if that is more. Every slot that joins a batch waits once for its first message, and the end
of a batch is sent through fewer and fewer slots."""


class Watched(Protocol):
    """A batch, as the loop that watches it uses it."""

    def look(self) -> None: ...


class WorkerRuntime:
    """One object a worker process. Thread-safe once it is started."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        """Set when the process is to end: rows that are not begun are left to other workers."""
        self.slots = SendSlots()
        self.journal = Journal()
        self.bulk_round_robin = BulkRoundRobin()
        self._batches: set[Watched] = set()
        self._lock = threading.Lock()
        self._watcher = Loop("batches", self._look_at_batches, every=LOOK_EVERY_SECONDS)
        self.crash_recovery = CrashRecovery()
        self._recovery = Loop("crash-recovery", self.crash_recovery.recover, every=EVERY_SECONDS)

    def start(self, worker: Any) -> None:
        """Call at the start of a worker process. Sets the concurrency and prefetch of Celery's `worker` by lanes."""
        self._size(worker)
        exposition.start()
        self._recovery.start()
        pool = getattr(connection, "pool", None)
        if pool is not None:
            pool.timeout = POOL_PATIENCE

    def stop(self) -> None:
        """Call at the process's end; stops the parts in the order of their dependencies."""
        self.slots.join()
        self._recovery.stop()
        self._watcher.stop()
        self.journal.end()
        close_all()
        event_exchange.close()
        publisher.stop()

    def watch(self, batch: Watched) -> None:
        """Call the batch's `look` regularly, until `unwatch`."""
        with self._lock:
            self._batches.add(batch)
        self._watcher.start()

    def unwatch(self, batch: Watched) -> None:
        with self._lock:
            self._batches.discard(batch)

    def _size(self, worker: Any) -> None:
        self.slots.limit = int(worker.concurrency)
        if all(broker.is_bulk(lane) for lane in worker.app.amqp.queues.consume_from):
            # A batch uses as many slots as it can: a process that took as many batches as it has slots would leave
            # nothing to the other processes.
            worker.concurrency = min(
                worker.concurrency, max(BATCHES_AT_ONCE, self.slots.limit // SLOTS_PER_BATCH)
            )
            # A batch takes long enough for the next message to arrive; a prefetched one is kept from other processes.
            worker.prefetch_multiplier = 1
        else:
            # More than one organization may use, so that some are free for one that sends nothing yet.
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
                # One that fails must not hold up the others; the loop logs the error.
                failed = failed or error
        if failed is not None:
            raise failed


runtime = WorkerRuntime()
