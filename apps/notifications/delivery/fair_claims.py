"""Which due rows a sender takes next: those that a message names, and in the bulk lane organizations in turn."""

import threading
import time
from typing import Any

from django.conf import settings

from apps.notifications.delivery.send_slots import SendSlots
from apps.notifications.models import Delivery
from apps.notifications.queue.topology import BATCH_SIZE, SMALL_BATCH
from apps.notifications.transitions.claims import (
    ClaimedRows,
    claim_bulk_of,
    claim_named,
    claim_next_of,
    organizations_waiting,
)

LOOK_EVERY = 1.0
"""Seconds for which the list of organizations that wait stands."""


class BulkTurns:
    """Which organization's bulk mail comes next: after each batch another one's. Thread-safe."""

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


def claim_due(
    model: type[Delivery],
    ids: list[str],
    *,
    token: str,
    bulk: bool,
    slots: SendSlots,
    turns: BulkTurns,
    organization: Any = None,
) -> ClaimedRows:
    """Claim a batch of rows for `token`. `organization`: the next few of this one's instead, whatever `ids` are.

    In the transactional lane those named, and with them what has waited for long; rows of an organization that has
    its share of this process are left, and come back to when it has a slot again. In the bulk lane a message is worth
    a batch of rows, whatever ids it names: organizations take turns, so that one's million rows don't keep another's
    thousand waiting.
    """
    lease = settings.JOURNALLED_LEASE_SECONDS
    if organization is not None:
        claimed = claim_next_of(model, organization, most=SMALL_BATCH, token=token, lease=lease)
        if claimed.size:
            # There may be more; a look that finds none ends it.
            slots.pass_over(model.channel, [organization])
        return claimed
    if not bulk:
        left = slots.at_their_share()
        along = max(0, BATCH_SIZE - len(ids))
        claimed = claim_named(model, ids, token=token, lease=lease, along=along, but=left)
        if left and claimed.size < len(ids):
            slots.pass_over(model.channel, left)
        return claimed
    claimed = ClaimedRows([], [], [])
    for each in turns.order(model):
        claimed.add(claim_bulk_of(model, each, most=BATCH_SIZE - claimed.size, token=token, lease=lease))
        if claimed.size >= BATCH_SIZE:
            return claimed
    # A claim passes over locked rows, and one may be locked only to note that it was published: a batch that is not
    # full waits for these, since the message that names them may be spent.
    turns.look_again(model)
    for each in turns.order(model):
        if most := BATCH_SIZE - claimed.size:
            claimed.add(claim_bulk_of(model, each, most=most, token=token, lease=lease, wait=True))
    claimed.add(claim_named(model, ids, token=token, lease=lease))
    return claimed
