"""How many messages a process has on the wire at once, threads to lend to chunks that could use more, and each
organization's part of them.

An organization whose recipients are slow takes what nobody else wants, but never the last places: whoever has nothing
on the wire yet finds one at once. What is passed over for that is sent as soon as its organization has a place again.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.conf import settings


class SendSlots:
    """A process's sender slots. A task takes one for its chunk; what is left is lent, a thread a slot."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._free = threading.Condition()
        self._busy = 0
        self._waiting = 0
        self._threads: ThreadPoolExecutor | None = None
        self._sending: Counter[Any] = Counter()
        """By organization: how many of its messages are on the wire."""
        self._passed_over: dict[tuple[str, Any], None] = {}
        """(channel, organization) of rows that are due and were left for want of a place, the longest first."""

    @property
    def limit(self) -> int:
        return self._limit or int(settings.WORKER_THREADS)

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit

    @property
    def has_waiters(self) -> bool:
        """Whether a task waits for a slot: who borrowed one gives it back after the message in hand."""
        return self._waiting > 0

    @property
    def idle(self) -> bool:
        return not self._busy

    @property
    def kept_free(self) -> int:
        """Places that nobody takes who has one already."""
        return min(max(1, self.limit // 5), self.limit - 1)

    def begin(self, organization: Any) -> bool:
        """Take a place for one of the organization's messages, given back by `end`; False where it has its part."""
        with self._free:
            if not self._may_send(organization):
                return False
            self._sending[organization] += 1
            return True

    def end(self, organization: Any) -> None:
        with self._free:
            # A count of nought would stay in memory for good.
            self._sending -= Counter([organization])

    def may_send(self, organization: Any) -> bool:
        with self._free:
            return self._may_send(organization)

    def _may_send(self, organization: Any) -> bool:
        has = self._sending[organization]
        if not has:
            return self._sending.total() < self.limit
        shared = self.limit - self.kept_free
        return has < max(1, shared // len(self._sending)) and self._sending.total() < shared

    def at_their_part(self) -> list[Any]:
        """The organizations that have as many messages on the wire as they may."""
        with self._free:
            return [organization for organization in list(self._sending) if not self._may_send(organization)]

    def pass_over(self, channel: str, organizations: Iterable[Any]) -> None:
        """Remember that due rows of these were left: somebody has to come back to them."""
        with self._free:
            self._passed_over.update(
                dict.fromkeys((str(channel), organization) for organization in organizations)
            )

    def next_passed_over(self) -> tuple[str, Any] | None:
        """Whose rows may be sent now, of those that were passed over; it isn't one of them any more."""
        with self._free:
            for channel, organization in self._passed_over:
                if self._may_send(organization):
                    del self._passed_over[channel, organization]
                    return channel, organization
        return None

    @contextmanager
    def taken(self) -> Iterator[None]:
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
        """Run `work` in a thread of its own, if a slot is free that nobody waits for."""
        with self._free:
            if self._busy + self._waiting >= self.limit:
                return False
            self._busy += 1
            if self._threads is None:
                # More than slots, so that a thread that is just ending keeps nobody waiting.
                self._threads = ThreadPoolExecutor(max_workers=2 * self.limit, thread_name_prefix="wire")
            # Under the lock: `join` may not come between.
            self._threads.submit(self._run, work)
        return True

    def join(self) -> None:
        """Wait for what was lent; later loans start anew."""
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


send_slots = SendSlots()
