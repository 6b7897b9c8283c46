"""How fast messages go: a second's allowance for each account and recipient domain, shared by all workers.

An account that complains of our pace is slowed for a while, whether it has an allowance or not. Who comes too
soon waits a moment in its slot or, for longer, is given the time of its turn: the row is put off until then, and
a backlog does not come back all at once.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from apps.notifications.channels.outcome import Outcome, Result
from apps.notifications.routing import failure_window
from apps.notifications.routing.accounts import Account
from notifier.lib.redis.scripts import RedisScripts

PATIENCE = 1.0
"""Seconds that a slot waits for its turn."""
SLOWED_SECONDS = 60.0
"""So long a complaint is heeded; nobody is put off for longer by it, since the pace is another one then."""
LONGEST_WAIT = 24 * 3600.0
DEAF_SECONDS = 2.0
"""For so long after a complaint others are of messages that went out before it."""
SLOWEST = 1.0
"""Messages a second that an account gets however often it complains."""
UNHURRIED = 10.0
"""Messages a second that count as its pace where it was less: one complaint in a quiet hour is no flood."""
LOOK_EVERY = 1.0
NAMES_KEPT = 10_000
"""Without Redis: so many in a process before those are looked for that are past."""

# Each allowance is one number, the time at which it would be used up if it were used evenly (GCRA). `field` has the
# turn given to the last of those of a lane who were put off, at most `cap` seconds ahead.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local patience, longest, free = tonumber(ARGV[1]), 0, {}
local cap, field = tonumber(ARGV[#KEYS + 2]), ARGV[#KEYS + 3]
for i = 1, #KEYS do
  local interval = 1 / tonumber(ARGV[i + 1])
  local used = math.max(tonumber(redis.call('HGET', KEYS[i], 'used') or 0), now) + interval
  free[i] = used
  longest = math.max(longest, used - now - math.max(1, interval))
end
if longest <= patience then
  for i = 1, #KEYS do
    redis.call('HSET', KEYS[i], 'used', string.format('%.6f', free[i]))
    redis.call('PEXPIRE', KEYS[i], math.ceil((free[i] - now) * 1000) + 60000)
  end
  return {1, string.format('%.6f', longest)}
end
local turn = now + longest
for i = 1, #KEYS do
  local interval = 1 / tonumber(ARGV[i + 1])
  turn = math.max(turn, tonumber(redis.call('HGET', KEYS[i], field) or 0) + interval)
end
turn = math.min(turn, now + math.max(longest, cap))
for i = 1, #KEYS do
  redis.call('HSET', KEYS[i], field, string.format('%.6f', turn))
  redis.call('PEXPIRE', KEYS[i], math.ceil((turn - now) * 1000) + 60000)
end
return {0, string.format('%.6f', turn - now)}
"""
# Answers to what was under way already say nothing of the new pace.
_SLOW = """
if not redis.call('SET', KEYS[2], '1', 'PX', ARGV[4], 'NX') then return 0 end
local rate = math.max(tonumber(redis.call('GET', KEYS[1]) or ARGV[1]) / 2, tonumber(ARGV[2]))
redis.call('SET', KEYS[1], string.format('%.3f', rate), 'PX', ARGV[3])
return 1
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether it is ours, and the seconds until it is."""

    granted: bool
    wait: float


def refusal(account: Account, domain: str, *, urgent: bool = False) -> Outcome | None:
    """Wait for the account's turn, a moment at most; the outcome of a message that has to wait longer.

    `urgent`: of the transactional lane, whose line is its own. A code does not stand behind a newsletter.
    """
    slowed = _slowed.rate(account.name)
    rate = min((rate for rate in (account.rate, slowed) if rate), default=0.0)
    limits = [(f"pace:{account.name}", rate)] if rate else []
    if account.domain_rate and domain:
        limits.append((f"pace:{account.name}:{domain}", account.domain_rate))
    if not limits:
        return None
    turn = _take(limits, longest=SLOWED_SECONDS if slowed else LONGEST_WAIT, urgent=urgent)
    if turn.granted:
        time.sleep(max(0.0, turn.wait))
        return None
    return Outcome(
        Result.DEFERRED,
        "paced",
        f"{account.name} takes {rate or account.domain_rate:g} a second.",
        wait=turn.wait,
    )


def slow_down(account: Account) -> None:
    """The provider said that we are too fast: half the pace of the last seconds, for a minute."""
    pace = account.rate or max(failure_window.rate(account.name, window=account.breaker.window), UNHURRIED)
    _scripts.run(
        _SLOW,
        keys=_slow_keys(account.name),
        args=[pace, SLOWEST, int(SLOWED_SECONDS * 1000), int(DEAF_SECONDS * 1000)],
    )
    _slowed.slow(account.name, pace)


def forget(name: str) -> None:
    """Full pace again."""
    _scripts.run(
        "return redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])",
        keys=[f"pace:{name}", *_slow_keys(name)],
        args=[],
    )
    _slowed.forget(name)


def _take(
    limits: Sequence[tuple[str, float]], *, longest: float = LONGEST_WAIT, urgent: bool = False
) -> Turn:
    booked = "booked_urgent" if urgent else "booked"
    answer = _scripts.run(
        _TAKE,
        keys=[name for name, _ in limits],
        args=[PATIENCE, *(rate for _, rate in limits), longest, booked],
    )
    if answer is None:
        return _local.take(limits, most=longest, urgent=urgent)
    return Turn(bool(answer[0]), float(answer[1]))


def _slow_key(name: str) -> str:
    return f"pace:{name}:slowed"


def _slow_keys(name: str) -> list[str]:
    """The pace that it is slowed to, and whether a complaint was heard a moment ago."""
    return [_slow_key(name), f"{_slow_key(name)}:heard"]


class LocalPace:
    """This process's own allowances, by the same arithmetic. `clock`: seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._used: dict[str, float] = {}
        self._booked: dict[tuple[str, bool], float] = {}
        self._look_at = NAMES_KEPT

    def take(
        self, limits: Sequence[tuple[str, float]], *, most: float = LONGEST_WAIT, urgent: bool = False
    ) -> Turn:
        with self._lock:
            now = self._clock()
            self._forget(now)
            used = {name: max(self._used.get(name, 0.0), now) + 1 / rate for name, rate in limits}
            longest = max(0.0, *(used[name] - now - max(1.0, 1 / rate) for name, rate in limits))
            if longest <= PATIENCE:
                self._used |= used
                return Turn(True, longest)
            wait = max(
                longest, *(self._booked.get((name, urgent), 0.0) + 1 / rate - now for name, rate in limits)
            )
            wait = min(wait, max(longest, most))
            self._booked |= {(name, urgent): now + wait for name, _ in limits}
            return Turn(False, wait)

    def _forget(self, now: float) -> None:
        """What is past says nothing any more; there is a name for each domain that anybody wrote to."""
        if len(self._used) + len(self._booked) > self._look_at:
            self._used = {name: ends for name, ends in self._used.items() if ends > now}
            self._booked = {name: turn for name, turn in self._booked.items() if turn > now}
            self._look_at = max(NAMES_KEPT, 2 * (len(self._used) + len(self._booked)))


class _Slowed:
    """The paces of accounts that complained, looked up at most once a second."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}
        """name: (when looked up, rate; 0 for full speed)."""
        self._own: dict[str, tuple[float, float]] = {}
        """name: (until when, rate), of this process alone: what counts while Redis is away."""

    def rate(self, name: str) -> float:
        now = time.monotonic()
        looked_at, rate = self._seen.get(name, (-LOOK_EVERY, 0.0))
        if now - looked_at < LOOK_EVERY:
            return rate
        answer = _scripts.run("return redis.call('GET', KEYS[1]) or ''", keys=[_slow_key(name)], args=[])
        if answer is None:
            until, own = self._own.get(name, (0.0, 0.0))
            rate = own if now < until else 0.0
        else:
            rate = float(answer or 0)
        self._seen[name] = (now, rate)
        return rate

    def slow(self, name: str, pace: float) -> None:
        now = time.monotonic()
        until, own = self._own.get(name, (0.0, 0.0))
        if now < until - SLOWED_SECONDS + DEAF_SECONDS:
            return
        rate = max((own if now < until else pace) / 2, SLOWEST)
        self._own[name] = (now + SLOWED_SECONDS, rate)
        self._seen.pop(name, None)

    def forget(self, name: str) -> None:
        self._own.pop(name, None)
        self._seen.pop(name, None)


_scripts = RedisScripts("pacing_is_local")
_local = LocalPace()
_slowed = _Slowed()
