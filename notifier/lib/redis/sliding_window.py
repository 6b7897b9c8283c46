"""Sliding windows: how much was counted under a name within a past interval, in microseconds.

They are kept in Redis, which all processes share; while Redis does not answer, in this process by the same rule.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from notifier.lib.redis.scripts import RedisScripts

SECOND = 1_000_000
NAMES_LIMIT = 10_000
"""The most windows that one process keeps by itself; beyond that the least recently used is dropped."""

CLOCK = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
"""
# A member is "<everything counted so far, itself included>:<its own weight>", so what a window holds is the
# difference of its ends: nothing is added up, and a set that is evicted takes no counter out of step with it.
# Numbers pass through %.0f, since Lua's own rounds to 14 digits.
ARITHMETIC = """
local name, limit, weight, length = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

redis.call('ZREMRANGEBYSCORE', name, '-inf', string.format('%.0f', now - length))
-- The server's clock was set back: what is in the future now would otherwise stay until the clock is there again.
redis.call('ZREMRANGEBYSCORE', name, string.format('(%.0f', now), '+inf')

local function at(rank)
  local entry = redis.call('ZRANGE', name, rank, rank, 'WITHSCORES')
  if not entry[1] then return nil end
  local total, own = string.match(entry[1], '^(%d+):(%d+)$')
  return {total = tonumber(total), own = tonumber(own), ends = tonumber(entry[2]) + length}
end

local oldest, newest = at(0), at(-1)
local before = oldest and oldest.total - oldest.own or 0
local total = newest and newest.total or 0
local used = total - before

if used + weight <= limit then
  if weight > 0 then
    redis.call('ZADD', name, string.format('%.0f', now), string.format('%016.0f:%.0f', total + weight, weight))
    redis.call('PEXPIRE', name, math.ceil(length / 1000))
  end
  local ends = oldest and oldest.ends or now + (weight > 0 and length or 0)
  return {1, used + weight, ends - now}
end

-- The first entry with whose end enough is free again.
local needed, low, high = used + weight - limit, 0, redis.call('ZCARD', name) - 1
while low < high do
  local middle = math.floor((low + high) / 2)
  if at(middle).total - before >= needed then high = middle else low = middle + 1 end
end
local freeing = at(low)
return {0, used, (freeing and freeing.ends or now + length) - now}
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a window after a count: whether the count was allowed, and how much of the limit is used.

    `wait`: microseconds until less is used or, where the count was refused, until there is room for it.
    """

    allowed: bool
    limit: int
    used: int
    wait: int

    @property
    def remaining(self) -> int:
        # A limit may have been lowered meanwhile.
        return max(0, self.limit - self.used)


def take(name: str, *, limit: int, weight: int, length: int) -> Standing:
    """Count `weight` under `name` if that leaves at most `limit` in `length` microseconds; weight 0 only reads.

    A refused weight is not counted. A failure of Redis raises nothing.
    """
    return shared.take(name, limit=limit, weight=weight, length=length)


@dataclass
class _Held:
    entries: deque[tuple[int, int]] = field(default_factory=deque)
    """(when, weight) of each, oldest first."""
    used: int = 0


class LocalSlidingWindows:
    """This process's own windows. `clock`: monotonic microseconds."""

    def __init__(self, clock: Callable[[], int] = lambda: time.monotonic_ns() // 1000) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: OrderedDict[str, _Held] = OrderedDict()

    def take(self, name: str, *, limit: int, weight: int, length: int) -> Standing:
        with self._lock:
            now = self._clock()
            held = self._held.setdefault(name, _Held())
            self._held.move_to_end(name)
            if len(self._held) > NAMES_LIMIT:
                self._held.popitem(last=False)
            entries = held.entries
            while entries and entries[0][0] <= now - length:
                held.used -= entries.popleft()[1]
            if held.used + weight <= limit:
                if weight:
                    entries.append((now, weight))
                    held.used += weight
                wait = entries[0][0] + length - now if entries else 0
                return Standing(True, limit, held.used, wait)
            needed, ends = held.used + weight - limit, now + length
            for when, own in entries:
                ends, needed = when + length, needed - own
                if needed <= 0:
                    break
            return Standing(False, limit, held.used, ends - now)


class SharedSlidingWindows:
    """The windows in Redis, and this process's own while Redis fails or is not configured."""

    def __init__(self) -> None:
        self._local = LocalSlidingWindows()
        self._scripts = RedisScripts("limits_are_local")

    def take(self, name: str, *, limit: int, weight: int, length: int) -> Standing:
        answer = self._scripts.run(CLOCK + ARITHMETIC, keys=[f"limit:{name}"], args=[limit, weight, length])
        if answer is None:
            return self._local.take(name, limit=limit, weight=weight, length=length)
        allowed, used, wait = answer
        return Standing(bool(allowed), limit, used, wait)


shared = SharedSlidingWindows()
