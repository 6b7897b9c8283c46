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

from apps.templates.liquid.limits import CPU_LIMIT, TooSlow

WRITING_CPU, WRITING_SECONDS = 3.0, 20.0
"""For a version that is checked, parsed and compiled: this thread's CPU time, and the compiler's by the clock."""
BATCH_CPU = 5.0
"""For all trials of one batch."""
EXPENSIVE_SECONDS = 0.02
"""CPU time of a message that is worth counting; the common one takes a hundredth of it."""
SHARE, SHARE_KEPT = 0.25, 5.0
"""CPU seconds of dear messages an organization is given each second, and how many it can save up."""
TOO_LONG = "this takes too long"
OVER_SHARE = (
    "this takes long, and the organization has used up its share of the processor for now; ask again later"
)
LIMITS_KEPT = 10_000


class _Allowance:
    """Begins with the first thing that costs anything: most messages need no engine, and reading the clock of a
    thread's CPU time costs more than filling one in.

    `cpu_ends`: by that clock; `ends`: by the monotonic one, for what has a bound there.
    """

    __slots__ = ("_cpu", "began", "cpu_ends", "ends", "outer", "why")

    def __init__(self, cpu: float, seconds: float, why: str, outer: "_Allowance | None") -> None:
        self._cpu, self.why, self.outer = cpu, why, outer
        self.began = self.cpu_ends = 0.0
        self.ends = math.inf if seconds == math.inf else time.monotonic() + seconds
        if outer is not None:
            self.ends = min(self.ends, outer.ends)

    def begin(self) -> None:
        if self.began:
            return
        self.began = time.thread_time()
        self.cpu_ends = self.began + self._cpu
        if self.outer is not None:
            self.outer.begin()
            if self.outer.cpu_ends < self.cpu_ends:
                self.cpu_ends, self.why = self.outer.cpu_ends, self.outer.why


_current: ContextVar[_Allowance | None] = ContextVar("allowance", default=None)


@contextmanager
def allowance(*, cpu: float, seconds: float = math.inf, why: str = TOO_LONG) -> Iterator[_Allowance]:
    """Let what is done inside take `cpu` seconds of this thread's CPU time and `seconds` by the clock, at most."""
    inner = _Allowance(cpu, seconds, why, _current.get())
    before = _current.set(inner)
    try:
        yield inner
    finally:
        _current.reset(before)


def cpu_deadline() -> tuple[float, str]:
    """When this thread's CPU time is used up, and what to say then."""
    current = _current.get()
    if current is None:
        return time.thread_time() + CPU_LIMIT, TOO_LONG
    current.begin()
    return current.cpu_ends, current.why


def seconds_left() -> float:
    current = _current.get()
    return math.inf if current is None else current.ends - time.monotonic()


def check() -> None:
    """Raises TooSlow where nothing is left."""
    current = _current.get()
    if current is None:
        return
    current.begin()
    if time.thread_time() > current.cpu_ends or time.monotonic() > current.ends:
        raise TooSlow(current.why)


class Shares:
    """What each party has left, in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[Hashable, tuple[float, float]] = {}
        """By party: the seconds that were left, and when."""

    @contextmanager
    def rendering(self, organization_id: Hashable) -> Iterator[None]:
        """One message of the party's, in its share."""
        cheap = organization_id in self._left and self._now(organization_id) <= 0
        cpu, why = (EXPENSIVE_SECONDS, OVER_SHARE) if cheap else (CPU_LIMIT, TOO_LONG)
        with allowance(cpu=cpu, why=why) as spent:
            try:
                yield
            finally:
                if spent.began and (used := time.thread_time() - spent.began) > EXPENSIVE_SECONDS:
                    self._charge(organization_id, used)

    def _now(self, organization_id: Hashable) -> float:
        known = self._left.get(organization_id)
        if known is None:
            return SHARE_KEPT
        left, at = known
        return min(SHARE_KEPT, left + (time.monotonic() - at) * SHARE)

    def _charge(self, organization_id: Hashable, used: float) -> None:
        with self._lock:
            self._left[organization_id] = (self._now(organization_id) - used, time.monotonic())
            if len(self._left) > LIMITS_KEPT:
                self._left = {one: kept for one, kept in self._left.items() if self._now(one) < SHARE_KEPT}


shares = Shares()
