"""A worker process's send slots: how many messages it sends at once, the threads that take free slots, and each
organization's share of them.

An organization whose recipients are slow may use every slot that no other needs, except the last ones: one that sends
nothing yet gets a slot at once. Rows that are passed over for that are sent as soon as their organization has a slot
again.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.conf import settings


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
