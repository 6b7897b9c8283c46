"""Which due rows are claimed next: those that a message names; in the bulk lane, round robin by organization."""

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

REFRESH_SECONDS = 1.0
"""How long the list of organizations with waiting rows is cached."""


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
