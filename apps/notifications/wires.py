"""How many messages a process has on the wire at once, and threads to lend to chunks that could use more."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.conf import settings


class Wires:
    """A process's sender slots. A task takes one for its chunk; what is left is lent, a thread a slot."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._free = threading.Condition()
        self._busy = 0
        self._waiting = 0
        self._threads: ThreadPoolExecutor | None = None

    @property
    def limit(self) -> int:
        return self._limit or int(settings.WORKER_THREADS)

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit

    @property
    def crowded(self) -> bool:
        """Whether a task waits for a slot: who borrowed one gives it back after the message in hand."""
        return self._waiting > 0

    @property
    def idle(self) -> bool:
        return not self._busy

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

    def lend(self, work: Callable[[], None]) -> bool:
        """Run `work` in a thread of its own, if a slot is free that nobody waits for."""
        with self._free:
            if self._busy + self._waiting >= self.limit:
                return False
            self._busy += 1
            if self._threads is None:
                # More than slots, so that a thread that is just ending keeps nobody waiting.
                self._threads = ThreadPoolExecutor(max_workers=2 * self.limit, thread_name_prefix="wire")
            threads = self._threads
        threads.submit(self._run, work)
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


wires = Wires()
