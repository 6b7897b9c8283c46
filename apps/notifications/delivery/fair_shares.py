"""How a worker process is shared by organizations: its send slots, and which due rows are claimed next.

An organization whose recipients are slow may use every slot that no other needs, except the last ones: one that sends
nothing yet gets a slot at once. Rows that are passed over for that are sent as soon as their organization has a slot
again. In the bulk lanes organizations are claimed from round robin.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.conf import settings

from apps.notifications.models import Delivery
from apps.notifications.queue.broker import BATCH_SIZE, SMALL_BATCH
from apps.notifications.transitions.claims import (
    ClaimedRows,
    claim_bulk_of,
    claim_named,
    claim_next_of,
    organizations_waiting,
)

REFRESH_SECONDS = 1.0
"""How long the list of organizations with waiting rows is cached."""


class SendSlots:
    """A task takes a slot for its batch; sender threads in free slots help with batches. Thread-safe."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._free = threading.Condition()
        self._busy = 0
        self._waiting = 0
        self._threads: ThreadPoolExecutor | None = None
        self._sending: Counter[Any] = Counter()
        """By organization: how many of its messages are being sent."""
        self._passed_over: dict[tuple[str, Any], None] = {}
        """(channel, organization) of due rows that were not claimed because their organization has used up its share;
        oldest first."""

    @property
    def limit(self) -> int:
        return self._limit or int(settings.WORKER_THREADS)

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit

    @property
    def has_waiters(self) -> bool:
        """Whether a task waits for a slot: a sender thread then ends after its present message."""
        return self._waiting > 0

    @property
    def idle(self) -> bool:
        return not self._busy

    @property
    def kept_free(self) -> int:
        """Slots reserved for organizations that have none yet."""
        return min(max(1, self.limit // 5), self.limit - 1)

    def begin(self, organization: Any) -> bool:
        """Take a slot for one of the organization's messages, released by `end`; False if its share is used up."""
        with self._free:
            if not self._may_send(organization):
                return False
            self._sending[organization] += 1
            return True

    def end(self, organization: Any) -> None:
        """Release a slot that `begin` took."""
        with self._free:
            # Counter subtraction drops zero counts, which would stay in memory for good.
            self._sending -= Counter([organization])

    def may_send(self, organization: Any) -> bool:
        """Whether `begin` would give the organization a slot now."""
        with self._free:
            return self._may_send(organization)

    def _may_send(self, organization: Any) -> bool:
        has = self._sending[organization]
        if not has:
            return self._sending.total() < self.limit
        shared = self.limit - self.kept_free
        return has < max(1, shared // len(self._sending)) and self._sending.total() < shared

    def at_their_share(self) -> list[Any]:
        """The organizations that send as many messages at once as they may."""
        with self._free:
            return [organization for organization in list(self._sending) if not self._may_send(organization)]

    def pass_over(self, channel: str, organizations: Iterable[Any]) -> None:
        """Remember that due rows of these were not claimed, for `next_passed_over`."""
        with self._free:
            self._passed_over.update(
                dict.fromkeys((str(channel), organization) for organization in organizations)
            )

    def next_passed_over(self) -> tuple[str, Any] | None:
        """The oldest (channel, organization) that was passed over and may send now; it is removed."""
        with self._free:
            for channel, organization in self._passed_over:
                if self._may_send(organization):
                    del self._passed_over[channel, organization]
                    return channel, organization
        return None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a free slot and hold it inside the context."""
        with self._free:
            self._waiting += 1
            self._free.wait_for(lambda: self._busy < self.limit)
            self._waiting -= 1
            self._busy += 1
        try:
            yield
        finally:
            self._give_back()

    def try_submit(self, work: Callable[[], None]) -> bool:
        """Run `work` in a sender thread, if a slot is free and no task waits for it; False if not."""
        with self._free:
            if self._busy + self._waiting >= self.limit:
                return False
            self._busy += 1
            if self._threads is None:
                # More threads than slots: one that is just ending must not delay the next.
                self._threads = ThreadPoolExecutor(max_workers=2 * self.limit, thread_name_prefix="sender")
            # Under the lock, so that `join` does not shut the pool down in between.
            self._threads.submit(self._run, work)
        return True

    def join(self) -> None:
        """Wait for the sender threads to end; later ones start anew."""
        with self._free:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=True)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self._give_back()

    def _give_back(self) -> None:
        with self._free:
            self._busy -= 1
            self._free.notify_all()


class BulkRoundRobin:
    """Which organization's bulk rows are claimed next: after each batch another organization's. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[type[Delivery], list[Any]] = {}
        self._refreshed_at: dict[type[Delivery], float] = {}

    def order(self, model: type[Delivery]) -> list[Any]:
        """Ids of all organizations with waiting bulk rows, in the order of claiming; each call rotates it."""
        with self._lock:
            now = time.monotonic()
            if now - self._refreshed_at.get(model, -REFRESH_SECONDS) >= REFRESH_SECONDS:
                known = self._waiting.get(model, [])
                found = set(organizations_waiting(model))
                # Those that waited keep their places.
                self._waiting[model] = [pk for pk in known if pk in found]
                self._waiting[model] += sorted(found.difference(known))
                self._refreshed_at[model] = now
            waiting = self._waiting[model]
            order = list(waiting)
            if waiting:
                waiting.append(waiting.pop(0))
            return order

    def invalidate(self, model: type[Delivery]) -> None:
        """Read the list anew at the next call."""
        with self._lock:
            self._refreshed_at.pop(model, None)


def claim_due(
    model: type[Delivery],
    ids: list[str],
    *,
    token: str,
    bulk: bool,
    slots: SendSlots,
    round_robin: BulkRoundRobin,
    organization: Any = None,
) -> ClaimedRows:
    """Claim a batch of rows for `token`. `organization`: the next few rows of this one instead, whatever `ids` are.

    In the transactional lane: the named rows, and others that have waited for long. Rows of an organization that has
    used up its share of this process are passed over, and sent when it has a slot again. In the bulk lane every
    message claims a full batch, whatever ids it names, round robin by organization, so that one organization's
    million rows don't delay another's thousand.
    """
    lease = settings.JOURNALLED_LEASE_SECONDS
    if organization is not None:
        claimed = claim_next_of(model, organization, most=SMALL_BATCH, token=token, lease=lease)
        if claimed.size:
            # There may be more; the claim that finds none ends it.
            slots.pass_over(model.channel, [organization])
        return claimed
    if not bulk:
        excluded = slots.at_their_share()
        extra = max(0, BATCH_SIZE - len(ids))
        claimed = claim_named(model, ids, token=token, lease=lease, extra=extra, excluded=excluded)
        if excluded and claimed.size < len(ids):
            slots.pass_over(model.channel, excluded)
        return claimed
    claimed = ClaimedRows([], [], [])
    for each in round_robin.order(model):
        claimed.add(claim_bulk_of(model, each, most=BATCH_SIZE - claimed.size, token=token, lease=lease))
        if claimed.size >= BATCH_SIZE:
            return claimed
    # A claim skips locked rows, and one may be locked only to record that it was published: a batch that is not full
    # waits for these, since the message that names them may have been consumed.
    round_robin.invalidate(model)
    for each in round_robin.order(model):
        if most := BATCH_SIZE - claimed.size:
            claimed.add(claim_bulk_of(model, each, most=most, token=token, lease=lease, wait=True))
    claimed.add(claim_named(model, ids, token=token, lease=lease))
    return claimed
