"""Concurrency limits of callbacks, per organization and per host: a slow receiver must leave slots to the others.

An attempt counts for its organization and for its host, and each of the two has a limit: half of the process's slots,
and an eighth (one at least) once its calls take long. An attempt that is refused gets a time to come back, behind
those that were refused before.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.conf import settings

SLOW_SECONDS = 2.0
"""A call that takes longer marks its organization and its host as slow, until a quicker one ends."""
PATIENCE_SECONDS = 0.5
"""How long a thread waits for a slot where calls are quick: a receiver's burst need not go through the scheduler."""
SHORTEST_STEP = 0.1
LONGEST_WAIT = 300.0
LIMITS_KEPT = 10_000


@dataclass(eq=False, slots=True)
class _ConcurrencyLimit:
    """The calls of one organization or to one host. Times are the monotonic clock's.

    `begun`: when each running call began, oldest first. `seconds`: how long the last one took. `next_at`: the time
    that the last refused attempt got.
    """

    begun: list[float] = field(default_factory=list)
    seconds: float = 0.0
    next_at: float = 0.0

    def call_seconds(self) -> float:
        """How long a call takes: the oldest running one, or the last one that ended."""
        return max(self.seconds, time.monotonic() - self.begun[0] if self.begun else 0.0)

    def slow(self) -> bool:
        return self.call_seconds() > SLOW_SECONDS

    def most(self) -> int:
        """How many calls may run at once."""
        slots: int = settings.WORKER_THREADS
        return max(1, slots // (8 if self.slow() else 2))

    def has_room(self) -> bool:
        return len(self.begun) < self.most()

    def retry_after(self) -> float:
        """Seconds after which the attempt that is refused now may come again."""
        now = time.monotonic()
        step = max(self.call_seconds(), SHORTEST_STEP) / self.most()
        self.next_at = min(max(self.next_at, now) + step, now + LONGEST_WAIT)
        wait = self.next_at - now
        # Past the longest wait all would get the same time; they must not all come at once.
        return wait if wait < LONGEST_WAIT else random.uniform(LONGEST_WAIT / 2, LONGEST_WAIT)  # noqa: S311


class ConcurrencyLimits:
    """The limits of all organizations and hosts, one object a process. Thread-safe."""

    def __init__(self) -> None:
        self._limits: dict[str, _ConcurrencyLimit] = {}
        self._changed = threading.Condition()

    @contextmanager
    def take(self, *keys: str) -> Iterator[float]:
        """Take a slot of every key (an organization's id, a host) inside the context, and yield 0.0. If one has none
        free, take nothing and yield the seconds after which to try again."""
        with self._changed:
            limits = [self._limits.setdefault(key, _ConcurrencyLimit()) for key in keys]
            if not any(limit.slow() for limit in limits):
                self._changed.wait_for(lambda: all(limit.has_room() for limit in limits), PATIENCE_SECONDS)
            full = [limit for limit in limits if not limit.has_room()]
            wait = max((limit.retry_after() for limit in full), default=0.0)
            began = time.monotonic()
            if not full:
                for limit in limits:
                    limit.begun.append(began)
        try:
            yield wait
        finally:
            if not full:
                self._give_back(limits, began)

    def _give_back(self, limits: list[_ConcurrencyLimit], began: float) -> None:
        with self._changed:
            for limit in limits:
                limit.begun.remove(began)
                limit.seconds = time.monotonic() - began
                if limit.seconds <= SLOW_SECONDS:
                    limit.next_at = 0.0
            if len(self._limits) > LIMITS_KEPT:
                self._limits = {key: limit for key, limit in self._limits.items() if limit.begun}
            self._changed.notify_all()


concurrency_limits = ConcurrencyLimits()
