"""The rows of one claim: sent by one or more sender threads, and recorded together.

A sender thread takes one row after another. One thread is enough for a quick provider; where replies are slow, more
threads take free send slots. Rows that no thread has begun are released when they wait too long: a password reset
must not wait behind a relay that takes minutes to reply.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

import structlog
from django.db import connection

from apps.notifications.delivery.journal import Segment
from apps.notifications.delivery.runtime import LOOK_EVERY_SECONDS, WorkerRuntime
from apps.notifications.models import Delivery
from apps.notifications.models.claimed import ClaimedDelivery
from apps.notifications.routing.circuit_breaker import Permits
from apps.notifications.transitions import claims
from apps.notifications.transitions.attempts import DeliveryAttempt
from apps.notifications.transitions.outcomes import record_attempts

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


class Pace:
    """How long one message takes lately, in seconds: a moving average over this process's sends."""

    def __init__(self) -> None:
        self.seconds = 0.01

    def took(self, seconds: float) -> None:
        """Add one message's time."""
        self.seconds += (seconds - self.seconds) / 8


Send = Callable[["Batch", DeliveryAttempt, DeliveryAttempt | None], DeliveryAttempt | None]
"""What a sender thread does with an attempt. It also gets the attempt that the thread will probably send next (for
pipelining), and returns the attempt once it has ended, or None if its row was released."""


class Batch:
    """The rows of one claim while they are sent. Thread-safe.

    `expires`: the end of the rows' lease, on the monotonic clock. `ended`: called when a sender thread has nothing
    left to do."""

    def __init__(
        self,
        runtime: WorkerRuntime,
        model: type[Delivery],
        deliveries: list[ClaimedDelivery],
        *,
        token: str,
        segment: Segment,
        expires: float,
        send: Send,
        bulk: bool,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self.model, self.token, self.size = model, token, len(deliveries)
        self.permits = Permits()
        self.segment = segment
        self._runtime, self._send, self._bulk, self._ended = runtime, send, bulk, ended
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
            self._runtime.watch(self)
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
                not self._runtime.stopping.is_set()
                and not wanted_elsewhere()
                and (attempt := self._take(sender)) is not None
            ):
                self._attempt(attempt, self._reserve_next(sender))
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
                self._ended()

    def _help(self) -> None:
        try:
            self._work(lambda: self._runtime.slots.has_waiters)
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
        if not self._runtime.slots.try_submit(self._help):
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
                if not self._runtime.slots.begin(organization):
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

    def _attempt(self, attempt: DeliveryAttempt, pipelined_next: DeliveryAttempt | None) -> None:
        if (len(self._waiting) + len(self._reserved)) * self._pace.seconds > WORTH_A_SLOT * self._senders:
            self._get_help()
        began = time.monotonic()
        try:
            done = self._send(self, attempt, pipelined_next)
        finally:
            if not self._bulk:
                self._runtime.slots.end(attempt.delivery.organization_id)
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
                self._runtime.retry_until_recorded("outcomes_not_recorded", lambda: record_attempts(done))
                # Not reached if recording failed: then the journal stays, for crash recovery.
                self._writing -= 1
                self.permits.flush()
            with self._lock:
                over = not self._senders and not self._writing and not self._done
                if over:
                    self._senders = -1
        if over:
            self._runtime.unwatch(self)
            self._runtime.journal.close(self.segment)

    def _give_back(self) -> None:
        """Release the rows that no sender has begun; the scheduler wakes another worker for them."""
        with self._lock:
            left = [*self._waiting, *self._reserved.values()]
            self._waiting.clear()
            self._reserved.clear()
        rows = [attempt.delivery.pk for attempt in left]
        if rows:
            self._runtime.retry_until_recorded(
                "rows_not_released", lambda: claims.give_back(self.model, self.token, rows)
            )
            if not self._bulk:
                organizations = {attempt.delivery.organization_id for attempt in left}
                self._runtime.slots.pass_over(self.model.channel, organizations)

    def _any_allowed(self) -> bool:
        refused = set()
        with self._lock:
            for attempt in self._waiting:
                organization = attempt.delivery.organization_id
                if organization not in refused and self._runtime.slots.may_send(organization):
                    return True
                refused.add(organization)
        return False


_paces: dict[type[Delivery], Pace] = {}
