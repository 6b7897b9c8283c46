"""What one piece of work may spend on templates altogether, however many parts it is made of.

    with allowance(cpu=0.5):          a message
        with allowance(cpu=0.5): …    never past what surrounds it

Every organization has a share of a process's time, too. Whoever has used it up renders what is cheap, as nearly
everything is, and is refused what is dear until some of the share is back.
"""

import math
import threading
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from .bounds import CPU_LIMIT, TooSlow

WRITING_CPU, WRITING_SECONDS = 3.0, 20.0
"""For a version that is checked, parsed and compiled: this thread's CPU time, and the compiler's by the clock."""
BATCH_CPU = 5.0
"""For all trials of one batch."""
DEAR_SECONDS = 0.02
"""CPU time of a message that is worth counting; the common one takes a hundredth of it."""
SHARE, SHARE_KEPT = 0.25, 5.0
"""CPU seconds of dear messages an organization is given each second, and how many it can save up."""
TOO_LONG = "this takes too long"
OVER_SHARE = (
    "this takes long, and the organization has used up its share of the processor for now; ask again later"
)
PARTIES_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class _Allowance:
    """`cpu_ends`: by this thread's CPU clock; `ends`: by the monotonic clock."""

    cpu_ends: float
    ends: float
    why: str


_current: ContextVar[_Allowance | None] = ContextVar("allowance", default=None)


@contextmanager
def allowance(*, cpu: float, seconds: float = math.inf, why: str = TOO_LONG) -> Iterator[None]:
    """Let what is done inside take `cpu` seconds of this thread's CPU time and `seconds` by the clock, at most."""
    cpu_ends, ends = time.thread_time() + cpu, time.monotonic() + seconds
    outer = _current.get()
    if outer is not None:
        ends = min(ends, outer.ends)
        if outer.cpu_ends < cpu_ends:
            cpu_ends, why = outer.cpu_ends, outer.why
    before = _current.set(_Allowance(cpu_ends, ends, why))
    try:
        yield
    finally:
        _current.reset(before)


def cpu_deadline() -> tuple[float, str]:
    """When this thread's CPU time is used up, and what to say then."""
    current = _current.get()
    return (time.thread_time() + CPU_LIMIT, TOO_LONG) if current is None else (current.cpu_ends, current.why)


def seconds_left() -> float:
    current = _current.get()
    return math.inf if current is None else current.ends - time.monotonic()


def check() -> None:
    """Raises TooSlow where nothing is left."""
    current = _current.get()
    if current is not None and (time.thread_time() > current.cpu_ends or time.monotonic() > current.ends):
        raise TooSlow(current.why)


class Shares:
    """What each party has left, in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[Hashable, tuple[float, float]] = {}
        """By party: the seconds that were left, and when."""

    @contextmanager
    def rendering(self, party: Hashable) -> Iterator[None]:
        """One message of the party's, in its share."""
        left = self._now(party)
        began = time.thread_time()
        cheap = left <= 0
        try:
            with allowance(cpu=DEAR_SECONDS if cheap else CPU_LIMIT, why=OVER_SHARE if cheap else TOO_LONG):
                yield
        finally:
            if (used := time.thread_time() - began) > DEAR_SECONDS:
                self._charge(party, used)

    def _now(self, party: Hashable) -> float:
        known = self._left.get(party)
        if known is None:
            return SHARE_KEPT
        left, at = known
        return min(SHARE_KEPT, left + (time.monotonic() - at) * SHARE)

    def _charge(self, party: Hashable, used: float) -> None:
        with self._lock:
            self._left[party] = (self._now(party) - used, time.monotonic())
            if len(self._left) > PARTIES_KEPT:
                self._left = {one: kept for one, kept in self._left.items() if self._now(one) < SHARE_KEPT}


shares = Shares()
