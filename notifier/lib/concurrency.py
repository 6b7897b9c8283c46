"""A limit on how much of one kind of work a process does at once, in all and for one key."""

import threading
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class Busy(Exception):
    """No slot became free in time."""


class ConcurrencyLimit:
    """`total` at once, `each` for one key; one more of each key may wait, since every waiter holds a thread."""

    def __init__(self, *, total: int, each: int) -> None:
        self._total, self._each = total, each
        self._running: Counter[Hashable] = Counter()
        self._waiting: Counter[Hashable] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def slot(self, key: Hashable, *, patience: float) -> Iterator[None]:
        """Hold a slot for `key`, after a wait of up to `patience` seconds. Raises Busy."""
        with self._changed:
            if not self._has_room(key):
                if self._waiting[key]:
                    raise Busy
                self._waiting[key] += 1
                try:
                    if not self._changed.wait_for(lambda: self._has_room(key), patience):
                        raise Busy
                finally:
                    # Subtracted as a Counter, which drops counts of zero: they would stay in memory for good.
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
