"""How many of one kind of work a process does at once, and how many of these for one party."""

import threading
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class Busy(Exception):
    """There was no place in time."""


class ConcurrencyLimit:
    """`total` at once, `each` for one party, and one more of it may wait: who waits holds a thread."""

    def __init__(self, *, total: int, each: int) -> None:
        self._total, self._each = total, each
        self._running: Counter[Hashable] = Counter()
        self._waiting: Counter[Hashable] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def slot(self, key: Hashable, *, patience: float) -> Iterator[None]:
        """A place for `party` within `patience` seconds. Raises Busy."""
        with self._changed:
            if not self._has_room(key):
                if self._waiting[key]:
                    raise Busy
                self._waiting[key] += 1
                try:
                    if not self._changed.wait_for(lambda: self._has_room(key), patience):
                        raise Busy
                finally:
                    # A count of nought would stay in memory for good.
                    self._waiting -= Counter([key])
            self._running[key] += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= Counter([key])
                self._changed.notify_all()

    def _has_room(self, key: Hashable) -> bool:
        return self._running.total() < self._total and self._running[key] < self._each
