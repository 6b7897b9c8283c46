"""What a worker process has beside its tasks: send slots, a journal, the batches that are being sent, and the loops
that watch them. One object starts, watches and stops it all.

Organizations share the slots. One whose recipients are slow may use every slot that no other needs, except the last
ones: one that sends nothing yet gets a slot at once. Rows that are passed over for that are sent as soon as their
organization has a slot again.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol

from django.conf import settings
from django.db import connection

from apps.notifications.delivery.crash_recovery import EVERY_SECONDS, CrashRecovery
from apps.notifications.delivery.journal import Journal
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


class SendSlots:
    """A task takes a slot for its batch; sender threads in free slots help with batches. Thread-safe."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._free = threading.Condition()
        self._busy = 0
        self._waiting = 0
        self._threads: ThreadPoolExecutor | None = None
        self._sending: Counter[Any] = Counter()
        """By organization: how many of its messages are being sent."""
        self._passed_over: dict[tuple[str, Any], None] = {}
        """(channel, organization) of due rows that were not claimed because their organization has used up its share;
        oldest first."""

    @property
    def limit(self) -> int:
        return self._limit or int(settings.WORKER_THREADS)

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit

    @property
    def has_waiters(self) -> bool:
        """Whether a task waits for a slot: a sender thread then ends after its present message."""
        return self._waiting > 0

    @property
    def idle(self) -> bool:
        return not self._busy

    @property
    def kept_free(self) -> int:
        """Slots reserved for organizations that have none yet."""
        return min(max(1, self.limit // 5), self.limit - 1)

    def begin(self, organization: Any) -> bool:
        """Take a slot for one of the organization's messages, released by `end`; False if its share is used up."""
        with self._free:
            if not self._may_send(organization):
                return False
            self._sending[organization] += 1
            return True

    def end(self, organization: Any) -> None:
        """Release a slot that `begin` took."""
        with self._free:
            # Counter subtraction drops zero counts, which would stay in memory for good.
            self._sending -= Counter([organization])

    def may_send(self, organization: Any) -> bool:
        """Whether `begin` would give the organization a slot now."""
        with self._free:
            return self._may_send(organization)

    def _may_send(self, organization: Any) -> bool:
        has = self._sending[organization]
        if not has:
            return self._sending.total() < self.limit
        shared = self.limit - self.kept_free
        return has < max(1, shared // len(self._sending)) and self._sending.total() < shared

    def at_their_share(self) -> list[Any]:
        """The organizations that send as many messages at once as they may."""
        with self._free:
            return [organization for organization in list(self._sending) if not self._may_send(organization)]

    def pass_over(self, channel: str, organizations: Iterable[Any]) -> None:
        """Remember that due rows of these were not claimed, for `next_passed_over`."""
        with self._free:
            self._passed_over.update(
                dict.fromkeys((str(channel), organization) for organization in organizations)
            )

    def next_passed_over(self) -> tuple[str, Any] | None:
        """The oldest (channel, organization) that was passed over and may send now; it is removed."""
        with self._free:
            for channel, organization in self._passed_over:
                if self._may_send(organization):
                    del self._passed_over[channel, organization]
                    return channel, organization
        return None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a free slot and hold it inside the context."""
        with self._free:
            self._waiting += 1
            self._free.wait_for(lambda: self._busy < self.limit)
            self._waiting -= 1
            self._busy += 1
        try:
            yield
        finally:
            self._give_back()

    def try_submit(self, work: Callable[[], None]) -> bool:
        """Run `work` in a sender thread, if a slot is free and no task waits for it; False if not."""
        with self._free:
            if self._busy + self._waiting >= self.limit:
                return False
            self._busy += 1
            if self._threads is None:
                # More threads than slots: one that is just ending must not delay the next.
                self._threads = ThreadPoolExecutor(max_workers=2 * self.limit, thread_name_prefix="sender")
            # Under the lock, so that `join` does not shut the pool down in between.
            self._threads.submit(self._run, work)
        return True

    def join(self) -> None:
        """Wait for the sender threads to end; later ones start anew."""
        with self._free:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=True)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self._give_back()

    def _give_back(self) -> None:
        with self._free:
            self._busy -= 1
            self._free.notify_all()


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
