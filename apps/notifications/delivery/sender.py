"""How a worker sends claimed rows: recheck eligibility, render, route to a provider, record.

The rows of one claim are a batch. A sender thread takes one row after another. One thread is enough for a quick
provider; where replies are slow, more threads take free send slots. Rows that no thread has begun are released when
they wait too long: a password reset must not wait behind a relay that takes minutes to reply.

No transaction and no database connection is held while a provider is waited for.
"""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Any

import structlog
from django.conf import settings
from django.db import connection

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.channels.outcome import Outcome, Result
from apps.notifications.delivery.journal import Segment
from apps.notifications.delivery.render import render
from apps.notifications.delivery.route import route
from apps.notifications.delivery.runtime import LOOK_EVERY_SECONDS, runtime
from apps.notifications.models import Delivery
from apps.notifications.models.deliveries import ClaimedDelivery
from apps.notifications.observability import metrics
from apps.notifications.observability.metrics import series
from apps.notifications.queue import broker
from apps.notifications.routing.circuit_breaker import Permits
from apps.notifications.transitions import claims
from apps.notifications.transitions.attempts import DeliveryAttempt
from apps.notifications.transitions.eligibility import recheck_eligibility
from apps.notifications.transitions.outcomes import record_attempts
from apps.templates.rendering.rendering import RenderError
from notifier.lib.database.recovery import AWAY, retry_until_recorded

log = structlog.get_logger(__name__)

HELD_UP_SECONDS, HELD_UP_BULK_SECONDS = 2.0, 30.0
"""If no thread takes a batch's next row for so long, the rest is released. Bulk mail can wait for a slow relay; rows
that are released too soon are claimed again and again."""
TOO_LONG_SECONDS = 120.0
"""A row that is not begun after this is released to another worker."""
RECORD_AT, RECORD_EVERY_SECONDS, RECORD_BULK_EVERY_SECONDS = 100, 0.25, 1.0
"""How many attempts are recorded at once, and how long after the last time: a few cost as much as a hundred."""
WORTH_A_SLOT = 0.2
"""Seconds of sending that are left for each sender thread before another thread is started."""


def deliver(channel: str, ids: list[str], *, bulk: bool = False) -> None:
    """Send those of these rows that are due, and others of their lane that wait (`claims.claim_due`).

    While the database is away nothing can be sent, and the slot waits for it. Raises one of `AWAY` only in a process
    that is to end meanwhile.
    """
    with runtime.slots.taken():
        _deliver(channel, ids, bulk=bulk)
    send_passed_over()


def send_passed_over() -> None:
    """Send rows that were passed over, of organizations that have slots again, in free sender threads."""
    while not runtime.stopping.is_set() and (found := runtime.slots.next_passed_over()) is not None:
        channel, organization = found
        if not runtime.slots.try_submit(partial(_deliver_of, channel, organization)):
            runtime.slots.pass_over(channel, [organization])
            return


def _deliver_of(channel: str, organization: Any) -> None:
    try:
        _deliver(channel, [], organization=organization)
    except Exception:
        # No caller waits for this thread: only the log shows the error. The scheduler finds the rows.
        log.exception("passed_over_failed", channel=channel)


def _deliver(channel: str, ids: list[str], *, bulk: bool = False, organization: Any = None) -> None:
    """Call in a thread that has a slot."""
    model = DELIVERIES[channel]
    if runtime.stopping.is_set():
        model.objects.unpublish(ids)
        return
    began = time.monotonic()
    try:
        segment = runtime.journal.open()
    except OSError as error:
        # Without a journal no send may begin: the rows wait, and the scheduler publishes them again.
        log.error("journal_unusable", folder=str(settings.JOURNAL_DIR), reason=str(error))
        model.objects.unpublish(ids)
        return
    batch = _claim_batch(model, ids, segment, began, bulk=bulk, organization=organization)
    if batch is None:
        runtime.journal.close(segment)
        return
    batch.work()
    structlog.contextvars.unbind_contextvars("correlation_id", "notification_id", "delivery_id")
    if batch.size > 1:
        seconds = round(time.monotonic() - began, 3)
        log.info("batch_delivered", channel=channel, rows=batch.size, seconds=seconds)


def _claim_batch(
    model: type[Delivery], ids: list[str], segment: Segment, began: float, *, bulk: bool, organization: Any
) -> "Batch | None":
    """A batch of the rows that may be sent; None if there are none."""
    token = f"{segment.name}/{secrets.token_hex(4)}"
    # Rows of an organization that has used up its share are passed over, and sent when it has a slot again.
    excluded = runtime.slots.at_their_share() if not bulk and organization is None else []
    try:
        claimed = claims.claim_due(
            model,
            ids,
            token=token,
            bulk=bulk,
            round_robin=runtime.bulk_round_robin,
            excluded=excluded,
            organization=organization,
        )
        if organization is not None and claimed.size:
            # There may be more; the claim that finds none ends it.
            runtime.slots.pass_over(model.channel, [organization])
        elif excluded and claimed.size < len(ids):
            runtime.slots.pass_over(model.channel, excluded)
        deliveries = claimed.plain
        if claimed.to_recheck:
            rows, unreadable = claims.load(model, claimed.to_recheck, token)
            claimed.unreadable.extend(unreadable)
            deliveries += [ClaimedDelivery.of(row) for row in recheck_eligibility(rows)]
        claims.give_back_unreadable(model, token, claimed.unreadable)
    except AWAY as error:
        log.warning("database_unavailable", reason=str(error))
        retry_until_recorded(
            "rows_not_released", lambda: _give_up(model, ids, token), stopping=runtime.stopping
        )
        return None
    finally:
        # Django keeps a connection until it is closed, and a provider's reply may take minutes.
        connection.close()
    if not deliveries:
        return None
    # Oldest first: ids are ordered by time.
    deliveries.sort(key=attrgetter("pk"))
    return Batch(
        model,
        deliveries,
        token=token,
        segment=segment,
        expires=began + settings.JOURNALLED_LEASE_SECONDS,
        bulk=bulk,
    )


def _give_up(model: type[Delivery], ids: list[str], token: str) -> None:
    """After a failed claim, committed or not: its rows, and those that the message named, wait again."""
    claims.give_back(model, token)
    model.objects.unpublish(ids)  # type: ignore[attr-defined]


class Pace:
    """How long one message takes lately, in seconds: a moving average over this process's sends."""

    def __init__(self) -> None:
        self.seconds = 0.01

    def took(self, seconds: float) -> None:
        """Add one message's time."""
        self.seconds += (seconds - self.seconds) / 8


_paces: dict[type[Delivery], Pace] = {}


class Batch:
    """The rows of one claim while they are sent. Thread-safe.

    `expires`: the end of the rows' lease, on the monotonic clock."""

    def __init__(
        self,
        model: type[Delivery],
        deliveries: list[ClaimedDelivery],
        *,
        token: str,
        segment: Segment,
        expires: float,
        bulk: bool,
    ) -> None:
        self.model, self.token, self.size = model, token, len(deliveries)
        self.permits = Permits()
        self.segment = segment
        self._bulk = bulk
        self._waiting = deque(DeliveryAttempt(one, journal=segment, expires=expires) for one in deliveries)
        self._reserved: dict[object, DeliveryAttempt] = {}
        """By sender thread: its next attempt, which another thread takes if it has nothing else left."""
        self._done: deque[DeliveryAttempt] = deque()
        self._lock, self._recording = threading.Lock(), threading.Lock()
        self._senders, self._writing = 1, 0
        self.began = self._taken_at = self._recorded_at = time.monotonic()
        self._pace = _paces.setdefault(model, Pace())

    def work(self) -> None:
        """Send all rows, with the help of other sender threads. Raises what `retry_until_recorded` raises."""
        if self.size > 1:
            runtime.watch(self)
        self._work(lambda: False)

    def look(self) -> None:
        """Called regularly by the process's watcher: start another sender thread where sending is slow, record ended
        attempts, release rows that wait too long."""
        now = time.monotonic()
        if now - self._recorded_at > (RECORD_BULK_EVERY_SECONDS if self._bulk else LOOK_EVERY_SECONDS):
            self._record()
        if not (self._waiting or self._reserved):
            return
        held_up = now - self._taken_at > (HELD_UP_BULK_SECONDS if self._bulk else HELD_UP_SECONDS)
        if now - self.began > TOO_LONG_SECONDS or (held_up and not self._get_help()):
            self._give_back()

    def _work(self, wanted_elsewhere: Callable[[], bool]) -> None:
        sender = object()
        try:
            while (
                not runtime.stopping.is_set()
                and not wanted_elsewhere()
                and (attempt := self._take(sender)) is not None
            ):
                attempt.pipelined_next = self._reserve_next(sender)
                self._attempt(attempt)
        finally:
            with self._lock:
                if (reserved := self._reserved.pop(sender, None)) is not None:
                    self._waiting.appendleft(reserved)
                self._senders -= 1
                last = not self._senders
            try:
                if last:
                    # All rows are sent, or no thread is left to send them.
                    self._give_back()
                    self._record()
            finally:
                # The thread may have used a database connection, and may be idle for long.
                connection.close()
                send_passed_over()

    def _help(self) -> None:
        try:
            self._work(lambda: runtime.slots.has_waiters)
        except Exception:
            # No caller waits for this thread: only the log shows the error.
            log.exception("sender_thread_failed", channel=self.model.channel)

    def _get_help(self) -> bool:
        """Start another sender thread; False if no slot is free, or none of the rows may be sent now."""
        if not self._bulk and not self._any_allowed():
            return False
        with self._lock:
            if not self._senders:
                return False
            self._senders += 1
        if not runtime.slots.try_submit(self._help):
            with self._lock:
                self._senders -= 1
            return False
        return True

    def _take(self, sender: object) -> DeliveryAttempt | None:
        """This sender's reserved attempt, else the next that may be sent now; when nothing else is left, one that
        another sender has reserved. None although rows are left, if their organizations have used up their share of
        this process: the sender that ends one of their attempts takes the next."""
        with self._lock:
            if (reserved := self._reserved.pop(sender, None)) is not None:
                self._waiting.appendleft(reserved)
            attempt = self._first_allowed()
            if attempt is None and self._reserved:
                self._waiting.append(self._reserved.popitem()[1])
                attempt = self._first_allowed()
        if attempt is not None:
            self._taken_at = time.monotonic()
        return attempt

    def _first_allowed(self) -> DeliveryAttempt | None:
        refused = set()
        for index, attempt in enumerate(self._waiting):
            if not self._bulk:
                organization = attempt.delivery.organization_id
                if organization in refused:
                    continue
                if not runtime.slots.begin(organization):
                    refused.add(organization)
                    continue
            del self._waiting[index]
            return attempt
        return None

    def _reserve_next(self, sender: object) -> DeliveryAttempt | None:
        with self._lock:
            if not self._waiting or len(self._waiting) < self._senders:
                # Another sender will be idle before this one could send it.
                return None
            self._reserved[sender] = attempt = self._waiting.popleft()
            return attempt

    def _attempt(self, attempt: DeliveryAttempt) -> None:
        if (len(self._waiting) + len(self._reserved)) * self._pace.seconds > WORTH_A_SLOT * self._senders:
            self._get_help()
        began = time.monotonic()
        try:
            done = send_row(self, attempt)
        finally:
            if not self._bulk:
                runtime.slots.end(attempt.delivery.organization_id)
        now = time.monotonic()
        self._pace.took(now - began)
        if done is not None:
            self._done.append(done)
        # In the bulk lanes the watcher records, so that no sender thread stops for it.
        if len(self._done) >= RECORD_AT or (
            not self._bulk and now - self._recorded_at > RECORD_EVERY_SECONDS
        ):
            self._record()

    def _record(self) -> None:
        """Record the attempts that have ended and, once all rows are recorded, close the journal's segment."""
        # One thread at a time: when the last sender has been here, everything is recorded, whichever thread did it.
        with self._recording:
            self._recorded_at = time.monotonic()
            done = []
            # Senders go on adding to it meanwhile.
            while self._done:
                done.append(self._done.popleft())
            if done:
                self._writing += 1
                retry_until_recorded(
                    "outcomes_not_recorded", lambda: record_attempts(done), stopping=runtime.stopping
                )
                # Not reached if recording failed: then the journal stays, for crash recovery.
                self._writing -= 1
                self.permits.flush()
            with self._lock:
                over = not self._senders and not self._writing and not self._done
                if over:
                    self._senders = -1
        if over:
            if self.size > 1:
                runtime.unwatch(self)
            runtime.journal.close(self.segment)

    def _give_back(self) -> None:
        """Release the rows that no sender has begun; the scheduler wakes another worker for them."""
        with self._lock:
            left = [*self._waiting, *self._reserved.values()]
            self._waiting.clear()
            self._reserved.clear()
        rows = [attempt.delivery.pk for attempt in left]
        if rows:
            retry_until_recorded(
                "rows_not_released",
                lambda: claims.give_back(self.model, self.token, rows),
                stopping=runtime.stopping,
            )
            if not self._bulk:
                organizations = {attempt.delivery.organization_id for attempt in left}
                runtime.slots.pass_over(self.model.channel, organizations)

    def _any_allowed(self) -> bool:
        refused = set()
        with self._lock:
            for attempt in self._waiting:
                organization = attempt.delivery.organization_id
                if organization not in refused and runtime.slots.may_send(organization):
                    return True
                refused.add(organization)
        return False


def send_row(batch: Batch, attempt: DeliveryAttempt) -> DeliveryAttempt | None:
    """Make the attempt and return it once it has ended; None if the database went away before the send began."""
    delivery = attempt.delivery
    # Rebound for the thread's next row, and unbound before its next task.
    structlog.contextvars.bind_contextvars(
        correlation_id=delivery.correlation_id,
        notification_id=str(delivery.notification_id),
        delivery_id=str(delivery.pk),
    )
    try:
        return _attempt(batch, attempt)
    except AWAY as error:
        log.warning("database_unavailable", reason=str(error))
        retry_until_recorded(
            "row_not_released",
            lambda: claims.give_back(batch.model, batch.token, [delivery.pk]),
            stopping=runtime.stopping,
        )
        return None


def _attempt(batch: Batch, attempt: DeliveryAttempt) -> DeliveryAttempt:
    delivery, provider = attempt.delivery, ""
    try:
        attempt.message = attempt.message or render(delivery)
    except RenderError as error:
        outcome = Outcome(Result.PERMANENT, "render_failed", f"{error.field}: {error}"[:500])
    else:
        _prepare_next(attempt)
        outcome, provider = route(attempt, batch.permits)
    attempt.ended(outcome, provider)
    if attempt.begun:
        batch.segment.answer(delivery.pk, delivery.fence, outcome, provider)
    if batch.size == 1 or outcome.result is not Result.SENT:
        # The successes of a batch share one log line; each has its timeline entry.
        log.info(
            "delivery_attempted",
            channel=delivery.channel,
            outcome=outcome.result,
            code=outcome.code,
            provider=provider,
        )
    _count(attempt, outcome, attempt.ended_at - batch.began)
    return attempt


def _prepare_next(attempt: DeliveryAttempt) -> None:
    """Render the pipelined next row's message; forget that row where it goes to other accounts."""
    pipelined_next = attempt.pipelined_next
    if pipelined_next is None:
        return
    if pipelined_next.delivery.live != attempt.delivery.live:
        attempt.pipelined_next = None
        return
    try:
        pipelined_next.message = render(pipelined_next.delivery)
    except RenderError:
        # Recorded when that row is sent.
        attempt.pipelined_next = None


def _count(attempt: DeliveryAttempt, outcome: Outcome, seconds: float) -> None:
    delivery = attempt.delivery
    series(metrics.OUTCOMES, delivery.channel, attempt.provider, outcome.result, outcome.code).inc()
    # The time of a replayed delivery includes the wait for an operator.
    if outcome.result is Result.SENT and delivery.epoch == 0:
        lane = broker.lane_of(delivery.channel, delivery.priority)
        series(metrics.UNTIL_SENT, delivery.channel, lane).observe(delivery.waited + seconds)
