"""A cache of this process for values that are expensive to make and never change, limited by weight, not by number:
callers decide how large a value is."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")
ENTRY_WEIGHT = 1_000
"""Added to the weight of each entry: the cost of the entry itself."""


class BoundedCache(Generic[Value]):
    """Caches the results of `make`, which returns a value and its weight, up to a total weight of `most`. Evicts the
    least recently used first; a value that is too heavy by itself is made again each time. Thread-safe."""

    def __init__(self, make: Callable[..., tuple[Value, int]], *, most: int) -> None:
        self._make, self._most = make, most
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self.weight = 0

    def __call__(self, *args: Hashable) -> Value:
        with self._lock:
            if (entry := self._entries.get(args)) is not None:
                self._entries.move_to_end(args)
                return entry[0]
        # Outside the lock: two threads at once may make the same value twice.
        value, weight = self._make(*args)
        weight += ENTRY_WEIGHT
        with self._lock:
            if weight <= self._most and args not in self._entries:
                self._entries[args] = value, weight
                self.weight += weight
                while self.weight > self._most:
                    _, (_, freed) = self._entries.popitem(last=False)
                    self.weight -= freed
        return value

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self.weight = 0
