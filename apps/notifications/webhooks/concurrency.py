"""Who may call out of this process now: a receiver that keeps its callers waiting must leave slots to others.

A try is counted for its organization and for its host, and each of the two has a limit: half of the process's
slots, and an eighth (one at least) once its calls take long. Whoever is turned away gets a time to come back,
behind those who were turned away before.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.conf import settings

SLOW_SECONDS = 2.0
"""A call that takes longer makes its organization and its host slow, until a quicker one ends."""
PATIENCE_SECONDS = 0.5
"""So long a thread waits where calls are quick: a receiver's burst need not go through the tick."""
SHORTEST_STEP = 0.1
LONGEST_WAIT = 300.0
LIMITS_KEPT = 10_000


@dataclass(eq=False, slots=True)
class _Limit:
    """An organization or a host. Times are the monotonic clock's."""

    begun: list[float] = field(default_factory=list)
    seconds: float = 0.0
    line_ends: float = 0.0

    def pace(self) -> float:
        """How long a call takes: the oldest in hand, or the last one that ended."""
        return max(self.seconds, time.monotonic() - self.begun[0] if self.begun else 0.0)

    def slow(self) -> bool:
        return self.pace() > SLOW_SECONDS

    def limit(self) -> int:
        slots: int = settings.WORKER_THREADS
        return max(1, slots // (8 if self.slow() else 2))

    def has_room(self) -> bool:
        return len(self.begun) < self.limit()

    def next_turn(self) -> float:
        """Seconds until the one who is turned away now may ask again."""
        now = time.monotonic()
        step = max(self.pace(), SHORTEST_STEP) / self.limit()
        self.line_ends = min(max(self.line_ends, now) + step, now + LONGEST_WAIT)
        wait = self.line_ends - now
        # At the end of a line that is too long nobody's place is known; they must not all come at once.
        return wait if wait < LONGEST_WAIT else random.uniform(LONGEST_WAIT / 2, LONGEST_WAIT)  # noqa: S311


class Slots:
    """One object a process."""

    def __init__(self) -> None:
        self._limits: dict[str, _Limit] = {}
        self._changed = threading.Condition()

    @contextmanager
    def take(self, *names: str) -> Iterator[float]:
        """0.0: a slot is yours inside the context. Else none is, and so many seconds are to be waited."""
        with self._changed:
            parties = [self._limits.setdefault(name, _Limit()) for name in names]
            if not any(party.slow() for party in parties):
                self._changed.wait_for(lambda: all(party.has_room() for party in parties), PATIENCE_SECONDS)
            full = [party for party in parties if not party.has_room()]
            wait = max((party.next_turn() for party in full), default=0.0)
            began = time.monotonic()
            if not full:
                for party in parties:
                    party.begun.append(began)
        try:
            yield wait
        finally:
            if not full:
                self._give_back(parties, began)

    def _give_back(self, parties: list[_Limit], began: float) -> None:
        with self._changed:
            for party in parties:
                party.begun.remove(began)
                party.seconds = time.monotonic() - began
                if party.seconds <= SLOW_SECONDS:
                    party.line_ends = 0.0
            if len(self._limits) > LIMITS_KEPT:
                self._limits = {name: party for name, party in self._limits.items() if party.begun}
            self._changed.notify_all()


slots = Slots()
