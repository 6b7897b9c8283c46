"""Time budgets for work on templates, however many parts one piece of work consists of.

    with allowance(cpu=0.5):          # one message
        with allowance(cpu=0.5): …    # never exceeds the surrounding allowance

Every organization also has a share of a process's CPU time. An organization that has used it up may still render
cheap messages, as nearly all are; expensive ones are refused until the share has partly recovered.
"""

import math
import threading
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from apps.templates.liquid.limits import CPU_LIMIT, TooSlow

WRITING_CPU, WRITING_SECONDS = 3.0, 20.0
"""Seconds for validating, parsing and compiling a version: this thread's CPU time, and the wall-clock time."""
BATCH_CPU = 5.0
"""CPU seconds for all trial renderings of one batch."""
EXPENSIVE_SECONDS = 0.02
"""CPU seconds above which a message is charged to the share; a typical one takes a hundredth of it."""
SHARE, SHARE_KEPT = 0.25, 5.0
"""CPU seconds for expensive messages that an organization gains each second, and the most it can accumulate."""
TOO_LONG = "this takes too long"
OVER_SHARE = (
    "this takes long, and the organization has used up its share of CPU time for now; try again later"
)
LIMITS_KEPT = 10_000


class _Allowance:
    """Starts with the first expensive operation: most messages need no engine, and reading a thread's CPU clock
    costs more than rendering one of those.

    `cpu_ends`: deadline by that clock; `ends`: deadline by the monotonic clock, infinite without one.
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
    """Limit the enclosed work to `cpu` seconds of this thread's CPU time and `seconds` of wall-clock time.

    `why`: the message of the error when the CPU time is used up.
    """
    inner = _Allowance(cpu, seconds, why, _current.get())
    before = _current.set(inner)
    try:
        yield inner
    finally:
        _current.reset(before)


def cpu_deadline() -> tuple[float, str]:
    """(deadline by this thread's CPU clock, message of the error after it)."""
    current = _current.get()
    if current is None:
        return time.thread_time() + CPU_LIMIT, TOO_LONG
    current.begin()
    return current.cpu_ends, current.why


def seconds_left() -> float:
    current = _current.get()
    return math.inf if current is None else current.ends - time.monotonic()


def check() -> None:
    """Raises TooSlow where the current allowance is used up."""
    current = _current.get()
    if current is None:
        return
    current.begin()
    if time.thread_time() > current.cpu_ends or time.monotonic() > current.ends:
        raise TooSlow(current.why)


class Shares:
    """The CPU time that each organization has left, in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[Hashable, tuple[float, float]] = {}
        """By organization: (CPU seconds left, monotonic time of that balance)."""

    @contextmanager
    def rendering(self, organization_id: Hashable) -> Iterator[None]:
        """Limit one message of the organization, and charge its share if the message was expensive."""
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
