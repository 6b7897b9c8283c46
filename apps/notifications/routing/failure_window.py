"""The outcomes of a provider's last sends: counted in Redis for all workers, in this process while Redis is away."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from apps.notifications.routing.accounts import BreakerPolicy
from notifier.lib.redis.scripts import RedisScripts

BUCKETS = 10
"""A window is counted in so many slices: its length is exact to a tenth, and the memory for it is bounded."""

_COUNT = """
local name, failed, length, buckets = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local sends = tonumber(ARGV[4])
local time = redis.call('TIME')
local slice = math.floor((time[1] * 1000000 + time[2]) / (length / buckets))

if failed >= 0 then
  redis.call('HINCRBY', name, string.format('all:%.0f', slice), sends)
  if failed == 1 then
    redis.call('HINCRBY', name, string.format('bad:%.0f', slice), sends)
    redis.call('HINCRBY', name, 'streak', sends)
  else
    redis.call('HSET', name, 'streak', 0)
  end
  redis.call('PEXPIRE', name, math.ceil(length / 1000))
end

local all, bad, held = 0, 0, redis.call('HGETALL', name)
local streak = tonumber(redis.call('HGET', name, 'streak') or 0)
for i = 1, #held, 2 do
  local kind, at = string.match(held[i], '^(%a+):(%d+)$')
  if kind then
    if tonumber(at) <= slice - buckets then redis.call('HDEL', name, held[i])
    elseif kind == 'all' then all = all + held[i + 1]
    else bad = bad + held[i + 1] end
  end
end
return {all, bad, streak}
"""

LOOK = -1
"""In place of 1 (an error) or 0 (none): count nothing."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The sends within the window, how many of them were provider errors, and how many of the last in a row."""

    sends: int
    errors: int
    streak: int

    def trips(self, policy: BreakerPolicy) -> bool:
        """Whether these counts open the circuit."""
        enough = self.sends >= policy.minimum and self.errors >= policy.ratio * self.sends
        return enough or self.streak >= policy.streak


def count(name: str, *, error: bool, window: float, sends: int = 1) -> Tally:
    """Count sends through the provider `name`; `window` in seconds. Never raises a Redis error."""
    length = int(window * 1_000_000)
    counted = _scripts.run(_COUNT, keys=[_key(name)], args=[int(error), length, BUCKETS, sends])
    if counted is None:
        return _local.count(name, error=error, window=window, sends=sends)
    return Tally(*counted)


def rate(name: str, *, window: float) -> float:
    """Sends a second through the provider within the last `window` seconds, as they were counted."""
    length = int(window * 1_000_000)
    counted = _scripts.run(_COUNT, keys=[_key(name)], args=[LOOK, length, BUCKETS, 0])
    tally = _local.look(name, window=window) if counted is None else Tally(*counted)
    return tally.sends / window


def forget(name: str) -> None:
    """Drop the counts: the errors that opened a circuit must not open it again."""
    _scripts.run("redis.call('DEL', KEYS[1]) return 1", keys=[_key(name)], args=[])
    _local.forget(name)


def _key(name: str) -> str:
    return f"circuit:{name}"


@dataclass
class _Held:
    slices: deque[list[int]] = field(default_factory=deque)
    """(slice, sends, errors), oldest first."""
    streak: int = 0

    def tally(self) -> Tally:
        return Tally(sum(one[1] for one in self.slices), sum(one[2] for one in self.slices), self.streak)


class LocalCounts:
    """This process's own counts, by the same arithmetic. `clock`: seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}

    def count(self, name: str, *, error: bool, window: float, sends: int = 1) -> Tally:
        with self._lock:
            held = self._current(name, window)
            held.slices[-1][1] += sends
            held.slices[-1][2] += sends if error else 0
            held.streak = held.streak + sends if error else 0
            return held.tally()

    def look(self, name: str, *, window: float) -> Tally:
        with self._lock:
            return self._current(name, window).tally()

    def _current(self, name: str, window: float) -> _Held:
        held = self._held.setdefault(name, _Held())
        now = int(self._clock() / (window / BUCKETS))
        if not held.slices or held.slices[-1][0] != now:
            held.slices.append([now, 0, 0])
        while held.slices[0][0] <= now - BUCKETS:
            held.slices.popleft()
        return held

    def forget(self, name: str) -> None:
        with self._lock:
            self._held.pop(name, None)


_scripts = RedisScripts("circuits_are_local")
_local = LocalCounts()
