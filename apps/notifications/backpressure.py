"""Whether so much waits in the bulk lanes that more of it is refused for now; transactional mail never is."""

import threading
import time

from django.conf import settings

from apps.notifications.errors import TooManyWaiting
from apps.notifications.models import BULK_BELOW, DELIVERIES
from apps.notifications.statuses import Status
from apps.users.isolation import everywhere

LOOK_EVERY = 2.0
"""Seconds for which an answer stands: what comes in meanwhile may go past the mark."""
RETRY_AFTER = 30


class Gauge:
    """One process's view of how many rows wait. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._crowded = False

    def crowded(self) -> bool:
        with self._lock:
            if time.monotonic() - self._looked_at < LOOK_EVERY:
                return self._crowded
            self._looked_at = time.monotonic()
        # The lanes are every organization's.
        with everywhere():
            self._crowded = _waiting(settings.BULK_HIGH_WATER) >= settings.BULK_HIGH_WATER
        return self._crowded


def refusal() -> TooManyWaiting:
    return TooManyWaiting(
        f"{settings.BULK_HIGH_WATER} messages of low priority wait already; try again later, or send what"
        f" can't wait with a priority from {BULK_BELOW}.",
        headers={"Retry-After": str(RETRY_AFTER)},
    )


def _waiting(enough: int) -> int:
    """Bulk rows that wait, counted no further than `enough`."""
    found = 0
    for model in DELIVERIES.values():
        rows = model.objects.filter(status=Status.QUEUED, priority__lt=BULK_BELOW)
        found += rows.order_by()[: enough - found].count() if found < enough else 0
    return found


gauge = Gauge()
