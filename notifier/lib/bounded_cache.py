"""What is dear to make and never changes, kept in this process up to a weight: callers decide how large it is."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")
ENTRY_WEIGHT = 1_000
"""Of the least of them."""


class BoundedCache(Generic[Value]):
    """What `make` makes of its arguments, `most` of it at most, by the weight that it gives beside the value. What
    was unused for longest goes first; what is too heavy by itself is made anew each time. Thread-safe."""

    def __init__(self, make: Callable[..., tuple[Value, int]], *, most: int) -> None:
        self._make, self._most = make, most
        self._lock = threading.Lock()
        self._held: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self.weight = 0

    def __call__(self, *args: Hashable) -> Value:
        with self._lock:
            if (held := self._held.get(args)) is not None:
                self._held.move_to_end(args)
                return held[0]
        # Outside the lock: two at once make it twice.
        value, weight = self._make(*args)
        weight += ENTRY_WEIGHT
        with self._lock:
            if weight <= self._most and args not in self._held:
                self._held[args] = value, weight
                self.weight += weight
                while self.weight > self._most:
                    _, (_, freed) = self._held.popitem(last=False)
                    self.weight -= freed
        return value

    def forget(self) -> None:
        with self._lock:
            self._held.clear()
            self.weight = 0
