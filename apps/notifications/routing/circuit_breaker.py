"""The circuit breaker of each provider account: closed, open for a while, then half-open, where one probe decides.

Its state is a row in PostgreSQL, so an open circuit outlives Redis and every process; only the counts that open it
are in Redis. While it is open, messages are deferred: no attempt of a message is used.
"""

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.channels.outcome import Outcome, Result
from apps.notifications.models import CircuitChange, ProviderState, from_now
from apps.notifications.models.statuses import Status
from apps.notifications.routing.accounts import Account, BreakerPolicy
from notifier.lib.database import storage
from notifier.lib.database.recovery import DATABASE_ERRORS, forget_broken_connections
from notifier.lib.database.sql import run
from notifier.lib.database.tenancy import everywhere
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


def forget_counts(name: str) -> None:
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


log = structlog.get_logger(__name__)

LONGEST_PAUSE = 600.0
JITTER = (0.9, 1.1)
PROBE_SECONDS = 60.0
"""After this another probe is allowed, if the sender of the last one has died."""
PROBED_WAIT = 5.0
"""How long a message waits while another sender probes."""
CLOSED_CACHE_SECONDS = 0.25
"""How long a process caches that a circuit is closed. An open one is not cached: messages would still be deferred
after it was closed."""
MANUAL = "opened_by_hand"
MANUAL_SECONDS = 365 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission to send. `probe`: this is the one send that decides on a circuit whose pause is over."""

    probe: bool = False


def permit_for(name: str) -> Permit | Outcome:
    """Permission to send through the provider `name` now, or the outcome of a message that has to wait."""
    if (opened := _opened(name)) is None:
        return Permit()
    left, code, detail = opened
    if left > 0:
        # A circuit may be open until an operator closes it: look at it again from time to time.
        return Outcome(Result.DEFERRED, code, detail, wait=min(left, LONGEST_PAUSE))
    probing = ProviderState.objects.filter(Q(probe_until=None) | Q(probe_until__lt=Now()), name=name)
    if probing.filter(open_until__lte=Now()).update(probe_until=from_now(PROBE_SECONDS)):
        return Permit(probe=True)
    return Outcome(Result.DEFERRED, code, detail, wait=PROBED_WAIT)


_OPENED = """
SELECT extract(epoch FROM open_until - statement_timestamp())::float8, code, detail
FROM notifications_providerstate WHERE name = %(name)s AND open_until IS NOT NULL
"""


@storage.operation
def _opened(name: str) -> tuple[float, str, str] | None:
    """How many seconds longer the circuit is open, its code and detail; None if it is closed. Read for every send."""
    return next(iter(run(_OPENED, {"name": name})), None)  # type: ignore[arg-type]


@_opened.portable
def _opened_portably(name: str) -> tuple[float, str, str] | None:
    opened = ProviderState.objects.filter(name=name, open_until__isnull=False)
    found = opened.annotate(left=F("open_until") - Now()).first()
    return None if found is None else (found.left.total_seconds(), found.code, found.detail)


def record(account: Account, permit: Permit, outcome: Outcome) -> None:
    """Record the outcome of a send. Never raises a database error: the send itself is still to be recorded."""
    try:
        if permit.probe:
            _judge_probe(account, outcome)
        elif outcome.provider_error and outcome.result is Result.CONFIGURATION:
            log.error(
                "provider_misconfigured", provider=account.name, code=outcome.code, detail=outcome.detail
            )
            open_for(
                account.name, settings.CONFIGURATION_PAUSE_SECONDS, code=outcome.code, detail=outcome.detail
            )
        elif outcome.provider_error or not _is_inconclusive(outcome):
            tally = count(account.name, error=outcome.provider_error, window=account.breaker.window)
            if outcome.provider_error and tally.trips(account.breaker):
                log.error("circuit_opened", provider=account.name, code=outcome.code, **_facts(tally))
                open_for(account.name, account.breaker.pause, code=outcome.code, detail=outcome.detail)
    except DATABASE_ERRORS as error:
        log.warning("circuit_not_recorded", provider=account.name, reason=str(error))
        forget_broken_connections()


class Permits:
    """The circuit breaker for a batch's rows: that a circuit is closed is cached for a moment, process-wide, and the
    batch's successful sends are counted together. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._successes: Counter[Account] = Counter()

    def permit_for(self, name: str) -> Permit | Outcome:
        """As the function `permit_for`, with the cache."""
        if time.monotonic() < _closed_until.get(name, 0.0):
            return Permit()
        answer = permit_for(name)
        if isinstance(answer, Permit) and not answer.probe:
            _closed_until[name] = time.monotonic() + CLOSED_CACHE_SECONDS
        return answer

    def record(self, account: Account, permit: Permit, outcome: Outcome) -> None:
        """As the function `record`; a success is counted at the next `flush`."""
        if outcome.result is Result.SENT and not permit.probe:
            with self._lock:
                self._successes[account] += 1
            return
        # In their order: a success before this error ends a streak of errors.
        self.flush()
        record(account, permit, outcome)
        if outcome.provider_error:
            _closed_until.pop(account.name, None)

    def flush(self) -> None:
        """Count the successes since the last call."""
        with self._lock:
            successes, self._successes = self._successes, Counter()
        for account, sends in successes.items():
            count(account.name, error=False, window=account.breaker.window, sends=sends)


def _forget(name: str) -> None:
    """Drop the counts, and what this process has cached of a circuit that has just changed."""
    forget_counts(name)
    _closed_until.pop(name, None)


_closed_until: dict[str, float] = {}
"""By provider: until when the cached state `closed` is used, on the monotonic clock."""


def _is_inconclusive(outcome: Outcome) -> bool:
    """Whether the outcome shows nothing about the provider's health."""
    return outcome.untried or outcome.result in (Result.DEFERRED, Result.CONFIGURATION)


def _facts(tally: Tally) -> dict[str, int]:
    return {"sends": tally.sends, "errors": tally.errors, "streak": tally.streak}


def _judge_probe(account: Account, outcome: Outcome) -> None:
    if outcome.provider_error:
        base = account.breaker.pause
        if outcome.result is Result.CONFIGURATION:
            base = settings.CONFIGURATION_PAUSE_SECONDS
        open_for(account.name, base, code=outcome.code, detail=outcome.detail)
    elif _is_inconclusive(outcome):
        # The probe shows nothing about the provider; the next message may probe again.
        ProviderState.objects.filter(name=account.name).update(probe_until=None)
    else:
        close(account.name, probed=True)


def open_for(name: str, base: float, *, code: str, detail: str = "") -> None:
    """Open the circuit for `base` seconds, doubled for every opening since it was last closed.

    A circuit that is open already stays as it is, so that a hundred late errors open it once.
    """
    with transaction.atomic():
        state, _ = ProviderState.objects.select_for_update().get_or_create(name=name)
        if ProviderState.objects.filter(name=name, open_until__gt=Now()).exists():
            return
        pause = min(base * 2.0**state.opens, LONGEST_PAUSE) * random.uniform(*JITTER)  # noqa: S311 - no secret
        _open(name, pause, opens=state.opens + 1, code=code, detail=detail)
    _forget(name)


def open_manually(name: str, *, by: str) -> None:
    """Send nothing through the provider until an operator (`by`) closes its circuit."""
    with transaction.atomic():
        ProviderState.objects.get_or_create(name=name)
        _open(name, MANUAL_SECONDS, opens=1, code=MANUAL, detail=f"Opened by {by}.", by=by)
    _forget(name)


def _open(name: str, pause: float, *, opens: int, code: str, detail: str, by: str = "") -> None:
    ProviderState.objects.filter(name=name).update(
        open_until=from_now(pause), probe_until=None, opens=opens, code=code, detail=detail
    )
    CircuitChange.objects.create(
        provider=name, kind=CircuitChange.Kind.OPENED, code=code, detail=detail, seconds=round(pause), by=by
    )


def close(name: str, *, by: str = "", probed: bool = False) -> bool:
    """Close the circuit: messages go through the provider again. False if it was closed already.

    `by`: the operator who closes it. `probed`: a probe closes it, unless it was opened again meanwhile.
    """
    with transaction.atomic():
        was = ProviderState.objects.filter(name=name, open_until__isnull=False)
        if probed:
            was = was.filter(open_until__lte=Now())
        code = was.values_list("code", flat=True).first()
        closed = was.update(open_until=None, probe_until=None, opens=0, code="", detail="")
        if closed:
            CircuitChange.objects.create(provider=name, kind=CircuitChange.Kind.CLOSED, by=by)
            if by:
                # The operator has removed the cause: what was deferred for it needn't wait any longer. The scheduler
                # publishes it at its own pace.
                with everywhere():
                    for model in DELIVERIES.values():
                        deferred = model.objects.filter(status=Status.QUEUED, provider=name, error_code=code)
                        deferred.filter(due_at__gt=Now()).update(due_at=Now())
            log.info("circuit_closed", provider=name, by=by)
    _forget(name)
    return bool(closed)
