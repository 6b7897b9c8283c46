"""The rows that one claim took, sent by as many hands as help, and written down together.

A hand takes a row after another. One does for a quick provider; where answers are slow, the process's free slots
lend more. What nobody has begun is given back when it waits too long: a password reset must not wait behind a
relay that takes minutes to answer.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

import structlog
from django.db import DatabaseError, connection

from apps.notifications.delivery.fair_claims import Claim
from apps.notifications.delivery.journal import Segment, journal
from apps.notifications.delivery.send_slots import send_slots
from apps.notifications.delivery.stopping import retry_until_recorded, stopping
from apps.notifications.models import Delivery
from apps.notifications.models.claimed import ClaimedDelivery
from apps.notifications.routing.circuit_breaker import Permits
from apps.notifications.transitions import claims
from apps.notifications.transitions.recording import Done, record_all

log = structlog.get_logger(__name__)

HELD_UP_SECONDS, HELD_UP_BULK_SECONDS = 2.0, 30.0
"""So long nobody takes a chunk's next row before the rest is given back. Bulk mail can wait for a slow relay; what is
given back too soon is claimed again and again."""
TOO_LONG_SECONDS = 120.0
"""A row not begun after this is somebody else's to send."""
LOOK_EVERY_SECONDS = 0.5
RECORD_AT, RECORD_EVERY_SECONDS, RECORD_BULK_EVERY_SECONDS = 100, 0.25, 1.0
"""How many ends are written at once, and how long after the last time: a few rows cost as much as a hundred."""
WORTH_A_SLOT = 0.2
"""Seconds of sending that are left for each hand before another is asked for."""


class Pace:
    """How long one message takes lately, in seconds: a moving average over this process's sends."""

    def __init__(self) -> None:
        self.seconds = 0.01

    def took(self, seconds: float) -> None:
        self.seconds += (seconds - self.seconds) / 8


class Batch:
    """Thread-safe. `send`: what a hand does with a row; it is shown the one that it will probably turn to next, and
    returns what came of it, or None where it was left. `ended`: called when a hand has nothing left to do."""

    def __init__(
        self,
        model: type[Delivery],
        deliveries: list[ClaimedDelivery],
        *,
        token: str,
        segment: Segment,
        expires: float,
        send: Callable[["Batch", Claim, Claim | None], Done | None],
        bulk: bool,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self.model, self.token, self.size = model, token, len(deliveries)
        self.permits = Permits()
        self._segment, self._send, self._bulk, self._ended = segment, send, bulk, ended
        self._waiting = deque(Claim(delivery, segment, expires) for delivery in deliveries)
        self._pipelined_next: dict[object, Claim] = {}
        """By hand: what it turns to next, unless somebody else has nothing left to do."""
        self._done: deque[Done] = deque()
        self._lock, self._recording = threading.Lock(), threading.Lock()
        self._senders, self._writing = 1, 0
        self.began = self._taken_at = self._recorded_at = time.monotonic()
        self._pace = _paces.setdefault(model, Pace())

    def work(self) -> None:
        """Send what there is, with whoever helps. Raises what `retry_until_recorded` raises."""
        if self.size > 1:
            watcher.add(self)
        self._work(lambda: False)

    def look(self) -> None:
        """What the watcher does: help where it goes slowly, write what is known, give back what waits too long."""
        now = time.monotonic()
        if now - self._recorded_at > (RECORD_BULK_EVERY_SECONDS if self._bulk else LOOK_EVERY_SECONDS):
            self._record()
        if not (self._waiting or self._pipelined_next):
            return
        held_up = now - self._taken_at > (HELD_UP_BULK_SECONDS if self._bulk else HELD_UP_SECONDS)
        if now - self.began > TOO_LONG_SECONDS or (held_up and not self._try_submit()):
            self._give_back()

    def _work(self, wanted_elsewhere: Callable[[], bool]) -> None:
        hand = object()
        try:
            while (
                not stopping.is_set() and not wanted_elsewhere() and (claim := self._take(hand)) is not None
            ):
                self._turn(claim, self._reserve_next(hand))
        finally:
            with self._lock:
                if (reserved := self._pipelined_next.pop(hand, None)) is not None:
                    self._waiting.appendleft(reserved)
                self._senders -= 1
                last = not self._senders
            try:
                if last:
                    # Its rows are out, or nobody is left to send them.
                    self._give_back()
                    self._record()
            finally:
                # A hand may have written on the way, and its thread may be idle for long.
                connection.close()
                self._ended()

    def _help(self) -> None:
        try:
            self._work(lambda: send_slots.has_waiters)
        except Exception:
            # Nobody waits for this thread's end: the log is where it is seen.
            log.exception("hand_failed", channel=self.model.channel)

    def _try_submit(self) -> bool:
        """Ask for another hand; False where the process has none, or none of the rows may be sent now."""
        if not self._bulk and not self._any_allowed():
            return False
        with self._lock:
            if not self._senders:
                return False
            self._senders += 1
        if not send_slots.try_submit(self._help):
            with self._lock:
                self._senders -= 1
            return False
        return True

    def _take(self, hand: object) -> Claim | None:
        """What the hand was promised, else the next row that may be sent now; when nothing else is left, what another
        hand was promised. None, with rows left, where their organizations have their part of this process: whoever
        ends one of theirs takes the next."""
        with self._lock:
            if (reserved := self._pipelined_next.pop(hand, None)) is not None:
                self._waiting.appendleft(reserved)
            claim = self._first_allowed()
            if claim is None and self._pipelined_next:
                self._waiting.append(self._pipelined_next.popitem()[1])
                claim = self._first_allowed()
        if claim is not None:
            self._taken_at = time.monotonic()
        return claim

    def _first_allowed(self) -> Claim | None:
        refused = set()
        for index, claim in enumerate(self._waiting):
            if not self._bulk:
                organization = claim.delivery.organization_id
                if organization in refused:
                    continue
                if not send_slots.begin(organization):
                    refused.add(organization)
                    continue
            del self._waiting[index]
            return claim
        return None

    def _reserve_next(self, hand: object) -> Claim | None:
        with self._lock:
            if not self._waiting or len(self._waiting) < self._senders:
                # Another hand will have nothing left before it is this one's turn.
                return None
            self._pipelined_next[hand] = claim = self._waiting.popleft()
            return claim

    def _turn(self, claim: Claim, pipelined_next: Claim | None) -> None:
        if (
            len(self._waiting) + len(self._pipelined_next)
        ) * self._pace.seconds > WORTH_A_SLOT * self._senders:
            self._try_submit()
        began = time.monotonic()
        try:
            done = self._send(self, claim, pipelined_next)
        finally:
            if not self._bulk:
                send_slots.end(claim.delivery.organization_id)
        now = time.monotonic()
        self._pace.took(now - began)
        if done is not None:
            self._done.append(done)
        # In the bulk lanes the watcher writes, and no hand stops for it.
        if len(self._done) >= RECORD_AT or (
            not self._bulk and now - self._recorded_at > RECORD_EVERY_SECONDS
        ):
            self._record()

    def _record(self) -> None:
        """Write down what came of the rows so far and, when that is all, let the journal go."""
        # One at a time: when the last hand ends, everything is written, whoever wrote it.
        with self._recording:
            self._recorded_at = time.monotonic()
            done = []
            # Hands go on adding to it.
            while self._done:
                done.append(self._done.popleft())
            if done:
                self._writing += 1
                retry_until_recorded("outcomes_not_recorded", lambda: record_all(done))
                # Not reached where it could not be written: then the journal stays, for the janitor.
                self._writing -= 1
                self.permits.settle()
            with self._lock:
                over = not self._senders and not self._writing and not self._done
                if over:
                    self._senders = -1
        if over:
            watcher.discard(self)
            journal.close(self._segment)

    def _give_back(self) -> None:
        """Leave what nobody has begun to the next sweep, which wakes another slot."""
        with self._lock:
            left = [*self._waiting, *self._pipelined_next.values()]
            self._waiting.clear()
            self._pipelined_next.clear()
        rows = [claim.delivery.pk for claim in left]
        if rows:
            retry_until_recorded("rows_not_released", lambda: claims.release(self.model, rows, self.token))
            if not self._bulk:
                send_slots.pass_over(self.model.channel, {claim.delivery.organization_id for claim in left})

    def _any_allowed(self) -> bool:
        refused = set()
        with self._lock:
            for claim in self._waiting:
                organization = claim.delivery.organization_id
                if organization not in refused and send_slots.may_send(organization):
                    return True
                refused.add(organization)
        return False


class Watcher:
    """Looks after this process's chunks, from one thread."""

    def __init__(self) -> None:
        self._held: set[Batch] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, batch: Batch) -> None:
        with self._lock:
            self._held.add(batch)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="chunks", daemon=True)
                self._thread.start()

    def discard(self, batch: Batch) -> None:
        with self._lock:
            self._held.discard(batch)

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_EVERY_SECONDS)
            with self._lock:
                held = list(self._held)
            for batch in held:
                try:
                    batch.look()
                except DatabaseError as error:
                    log.warning("chunk_not_looked_after", reason=str(error))
            connection.close()


watcher = Watcher()
_paces: dict[type[Delivery], Pace] = {}
