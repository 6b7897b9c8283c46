"""Which due rows a sender takes next: those that a message names, and in the bulk lane organizations in turn."""

import threading
import time
from typing import Any

import structlog
from django.conf import settings
from django.db import connection

from apps.notifications.channels.outcome import Message
from apps.notifications.delivery.journal import Segment
from apps.notifications.delivery.send_slots import send_slots
from apps.notifications.models import Delivery
from apps.notifications.models.claimed import ClaimedDelivery
from apps.notifications.queue.topology import BATCH_SIZE, SMALL_BATCH
from apps.notifications.transitions.claims import (
    Claimed,
    claim_named,
    claim_next_of,
    claim_of,
    organizations_waiting,
)

log = structlog.get_logger(__name__)

SAFETY_SECONDS = 5.0
"""With less than this left of its lease, nothing irrevocable is begun."""
LOOK_EVERY = 1.0
"""Seconds for which the list of organizations that wait stands."""


class Claim:
    """One claimed row's leave to be sent. `message`: what it says, once that is composed. `begun`: the sender was
    let past the point of no return. `secrets`: what of it nobody else may read."""

    def __init__(self, delivery: ClaimedDelivery, segment: Segment, expires: float) -> None:
        self.delivery, self.segment, self.begun = delivery, segment, False
        self.message: Message | None = None
        self.secrets: tuple[str, ...] = ()
        self._expires = expires

    def may_commit(self) -> bool:
        """Whether the irrevocable step may begin now; asked right before it, and noted in the journal."""
        self.begun = time.monotonic() + SAFETY_SECONDS < self._expires and self.segment.begin(
            self.delivery.pk, self.delivery.fence
        )
        return self.begun


class _Turns:
    """Which organization's bulk mail comes next: after each chunk another one's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[type[Delivery], list[Any]] = {}
        self._looked_at: dict[type[Delivery], float] = {}

    def order(self, model: type[Delivery]) -> list[Any]:
        """Every organization with bulk mail, the one whose turn it is first."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked_at.get(model, -LOOK_EVERY) >= LOOK_EVERY:
                known = self._waiting.get(model, [])
                found = set(organizations_waiting(model))
                # Those that waited keep their places.
                self._waiting[model] = [pk for pk in known if pk in found]
                self._waiting[model] += sorted(found.difference(known))
                self._looked_at[model] = now
            waiting = self._waiting[model]
            order = list(waiting)
            if waiting:
                waiting.append(waiting.pop(0))
            return order

    def look_again(self, model: type[Delivery]) -> None:
        with self._lock:
            self._looked_at.pop(model, None)


_turns = _Turns()


def take(model: type[Delivery], ids: list[str], *, token: str, bulk: bool, of: Any = None) -> Claimed:
    """Claim a chunk's rows for `token`. `of`: the next few of this organization's instead, whichever they are.

    In the transactional lane those named, and with them what has waited for long; rows of an organization that has
    its part of this process are left, and come back to when a place of its is free. In the bulk lane a message is
    worth a chunk of rows, whichever these are: organizations take turns, so that nobody's million keeps
    another's thousand waiting.
    """
    lease = settings.JOURNALLED_LEASE_SECONDS
    if of is not None:
        taken = claim_next_of(model, of, most=SMALL_BATCH, token=token, lease=lease)
        if any(taken):
            # There may be more; whoever finds nothing leaves it at that.
            send_slots.pass_over(model.channel, [of])
        return taken
    if not bulk or connection.vendor != "postgresql":
        but = [] if bulk else send_slots.at_their_part()
        along = max(0, BATCH_SIZE - len(ids))
        taken = claim_named(model, ids, token=token, lease=lease, along=along, but=but)
        if but and sum(map(len, taken)) < len(ids):
            send_slots.pass_over(model.channel, but)
        return taken
    taken = Claimed([], [], [])
    for organization in _turns.order(model):
        most = BATCH_SIZE - sum(map(len, taken))
        _add(taken, claim_of(model, organization, most=most, token=token, lease=lease))
        if sum(map(len, taken)) >= BATCH_SIZE:
            break
    else:
        # What a claim passes over may be locked only to note that it was published: whoever leaves a chunk half
        # full waits for it, since the message that names it may be spent.
        _turns.look_again(model)
        for organization in _turns.order(model):
            if most := BATCH_SIZE - sum(map(len, taken)):
                _add(taken, claim_of(model, organization, most=most, token=token, lease=lease, wait=True))
        _add(taken, claim_named(model, ids, token=token, lease=lease))
    return taken


def _add(taken: Claimed, more: Claimed) -> None:
    taken.plain.extend(more.plain)
    taken.others.extend(more.others)
    taken.unreadable.extend(more.unreadable)
