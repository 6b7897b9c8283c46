"""Rate limits of sending: messages a second for each account and recipient domain, shared by all workers.

An account whose provider complains of our rate is slowed for a while, whether it has a limit or not. A message that
comes too soon waits a moment in its sender thread or, for longer, gets a time slot of its own: its row is put off
until then, so that a backlog does not come back all at once.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from apps.notifications.channels.outcome import Outcome, Result
from apps.notifications.routing import circuit_breaker
from apps.notifications.routing.accounts import Account
from notifier.lib.redis.scripts import RedisScripts

PATIENCE = 1.0
"""Seconds that a sender thread waits for its reservation at most; for longer, the row is put off."""
SLOWED_SECONDS = 60.0
"""How long a complaint slows the account; no row is put off for longer by it, since the rate has changed by then."""
LONGEST_WAIT = 24 * 3600.0
IGNORE_SECONDS = 2.0
"""How long after a complaint further ones are ignored: they are about messages that went out before it."""
MIN_RATE = 1.0
"""Messages a second that an account gets however often its provider complains."""
MIN_ASSUMED_RATE = 10.0
"""Messages a second that are taken for the account's rate where it was lower: one complaint in a quiet hour must not
slow it to a halt."""
LOOK_EVERY = 1.0
NAMES_KEPT = 10_000
"""Without Redis: so many entries in a process before expired ones are removed."""

# Each limit is one number, the time at which its allowance would be used up if it were used evenly (GCRA). `field`
# has the time slot of the last message of a lane that was put off, at most `cap` seconds ahead.
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
local slot = now + longest
for i = 1, #KEYS do
  local interval = 1 / tonumber(ARGV[i + 1])
  slot = math.max(slot, tonumber(redis.call('HGET', KEYS[i], field) or 0) + interval)
end
slot = math.min(slot, now + math.max(longest, cap))
for i = 1, #KEYS do
  redis.call('HSET', KEYS[i], field, string.format('%.6f', slot))
  redis.call('PEXPIRE', KEYS[i], math.ceil((slot - now) * 1000) + 60000)
end
return {0, string.format('%.6f', slot - now)}
"""
# Replies to messages that were on their way already say nothing about the new rate.
_SLOW = """
if not redis.call('SET', KEYS[2], '1', 'PX', ARGV[4], 'NX') then return 0 end
local rate = math.max(tonumber(redis.call('GET', KEYS[1]) or ARGV[1]) / 2, tonumber(ARGV[2]))
redis.call('SET', KEYS[1], string.format('%.3f', rate), 'PX', ARGV[3])
return 1
"""


@dataclass(frozen=True, slots=True)
class Reservation:
    """`granted`: the message may be sent, after `wait` seconds. Otherwise `wait` is the time until its time slot."""

    granted: bool
    wait: float


def refusal(account: Account, domain: str, *, urgent: bool = False) -> Outcome | None:
    """Wait until the account's limits allow a message; the outcome of one that has to wait longer than `PATIENCE`.

    `urgent`: it is of the transactional lane, which has its own time slots: a code does not wait behind a newsletter.
    """
    slowed = _slowed.rate(account.name)
    rate = min((rate for rate in (account.rate, slowed) if rate), default=0.0)
    limits = [(f"pace:{account.name}", rate)] if rate else []
    if account.domain_rate and domain:
        limits.append((f"pace:{account.name}:{domain}", account.domain_rate))
    if not limits:
        return None
    reservation = _take(limits, longest=SLOWED_SECONDS if slowed else LONGEST_WAIT, urgent=urgent)
    if reservation.granted:
        time.sleep(max(0.0, reservation.wait))
        return None
    return Outcome(
        Result.DEFERRED,
        "paced",
        f"{account.name} takes {rate or account.domain_rate:g} a second.",
        wait=reservation.wait,
    )


def slow_down(account: Account) -> None:
    """After a complaint of the provider: half the rate of the last seconds, for a minute."""
    rate = account.rate or max(
        circuit_breaker.rate(account.name, window=account.breaker.window), MIN_ASSUMED_RATE
    )
    _scripts.run(
        _SLOW,
        keys=_slow_keys(account.name),
        args=[rate, MIN_RATE, int(SLOWED_SECONDS * 1000), int(IGNORE_SECONDS * 1000)],
    )
    _slowed.slow(account.name, rate)


def forget(name: str) -> None:
    """Remove the slow-down and the account's used allowance."""
    _scripts.run(
        "return redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])",
        keys=[f"pace:{name}", *_slow_keys(name)],
        args=[],
    )
    _slowed.forget(name)


def _take(
    limits: Sequence[tuple[str, float]], *, longest: float = LONGEST_WAIT, urgent: bool = False
) -> Reservation:
    booked = "booked_urgent" if urgent else "booked"
    answer = _scripts.run(
        _TAKE,
        keys=[name for name, _ in limits],
        args=[PATIENCE, *(rate for _, rate in limits), longest, booked],
    )
    if answer is None:
        return _local.take(limits, most=longest, urgent=urgent)
    return Reservation(bool(answer[0]), float(answer[1]))


def _slow_key(name: str) -> str:
    return f"pace:{name}:slowed"


def _slow_keys(name: str) -> list[str]:
    """The Redis keys of the rate that it is slowed to, and of whether it has complained a moment ago."""
    return [_slow_key(name), f"{_slow_key(name)}:heard"]


class LocalPace:
    """This process's own limits, by the same arithmetic. `clock`: seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._used: dict[str, float] = {}
        self._booked: dict[tuple[str, bool], float] = {}
        self._look_at = NAMES_KEPT

    def take(
        self, limits: Sequence[tuple[str, float]], *, most: float = LONGEST_WAIT, urgent: bool = False
    ) -> Reservation:
        with self._lock:
            now = self._clock()
            self._forget(now)
            used = {name: max(self._used.get(name, 0.0), now) + 1 / rate for name, rate in limits}
            longest = max(0.0, *(used[name] - now - max(1.0, 1 / rate) for name, rate in limits))
            if longest <= PATIENCE:
                self._used |= used
                return Reservation(True, longest)
            wait = max(
                longest, *(self._booked.get((name, urgent), 0.0) + 1 / rate - now for name, rate in limits)
            )
            wait = min(wait, max(longest, most))
            self._booked |= {(name, urgent): now + wait for name, _ in limits}
            return Reservation(False, wait)

    def _forget(self, now: float) -> None:
        """Remove expired entries: there is one for each recipient domain."""
        if len(self._used) + len(self._booked) > self._look_at:
            self._used = {name: ends for name, ends in self._used.items() if ends > now}
            self._booked = {name: at for name, at in self._booked.items() if at > now}
            self._look_at = max(NAMES_KEPT, 2 * (len(self._used) + len(self._booked)))


class _Slowed:
    """The rates of accounts that are slowed, looked up at most once a second."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}
        """name: (when looked up, rate; 0 for full speed)."""
        self._own: dict[str, tuple[float, float]] = {}
        """name: (until when, rate), of this process alone: used while Redis is away."""

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

    def slow(self, name: str, full_rate: float) -> None:
        now = time.monotonic()
        until, own = self._own.get(name, (0.0, 0.0))
        if now < until - SLOWED_SECONDS + IGNORE_SECONDS:
            return
        rate = max((own if now < until else full_rate) / 2, MIN_RATE)
        self._own[name] = (now + SLOWED_SECONDS, rate)
        self._seen.pop(name, None)

    def forget(self, name: str) -> None:
        self._own.pop(name, None)
        self._seen.pop(name, None)


_scripts = RedisScripts("pacing_is_local")
_local = LocalPace()
_slowed = _Slowed()
