"""Backpressure for the bulk lanes: past a high-water mark, more bulk is refused for now; transactional mail never is.

Only due rows count: what is scheduled for next year delays nothing today. Past the mark an organization is still
accepted up to its equal share of it, so that one organization's flood doesn't close the lanes to another.
"""

import threading
import time
from collections import Counter
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.errors import QuotaReached, TooManyWaiting
from apps.notifications.models import BULK_BELOW
from apps.notifications.models.statuses import Status
from apps.notifications.transitions.claims import organizations_waiting
from apps.users.access import quotas
from notifier.lib.database.tenancy import everywhere

REFRESH_SECONDS = 2.0
"""How long a count is used: what comes in meanwhile may go past the mark."""
RETRY_AFTER = 30


class Gauge:
    """One process's count of the due bulk rows, refreshed every few seconds. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refreshed_at = float("-inf")
        self._due: Counter[Any] = Counter()

    def is_full(self, organization: Any) -> bool:
        """Whether no more bulk of this organization is accepted now."""
        with self._lock:
            stale = time.monotonic() - self._refreshed_at >= REFRESH_SECONDS
            if stale:
                self._refreshed_at = time.monotonic()
        if stale:
            # The lanes are shared by all organizations.
            with everywhere():
                self._due = _due()
        due, mark = self._due, settings.BULK_HIGH_WATER
        if due.total() < mark:
            return False
        return bool(due[organization] >= mark / len({*due, organization}))


def refusal() -> TooManyWaiting:
    """The error for a request that goes past the high-water mark; its Retry-After is in seconds."""
    return TooManyWaiting(
        f"{settings.BULK_HIGH_WATER} messages of low priority are due already, and this organization has its share "
        f"of them; try again later, or send what can't wait with a priority from {BULK_BELOW}.",
        headers={"Retry-After": str(RETRY_AFTER)},
    )


def over_schedule(organization: Any) -> bool:
    """Whether the organization has as many scheduled messages as its quota allows."""
    later = Q(organization=organization, status=Status.QUEUED, due_at__gt=Now())
    waiting = (model.objects.filter(later) for model in DELIVERIES.values())
    return quotas.reached("QUOTA_SCHEDULED", organization, *waiting)


def schedule_refusal() -> QuotaReached:
    """The error for a scheduled request that goes past the quota."""
    return QuotaReached(
        f"This organization keeps {settings.QUOTA_SCHEDULED} messages for later already, which is its quota "
        "(QUOTA_SCHEDULED); cancel some, or schedule this one when others have gone out."
    )


def _due() -> Counter[Any]:
    """Due bulk rows by organization; counting stops at the mark."""
    counts: Counter[Any] = Counter()
    for model in DELIVERIES.values():
        due = model.objects.due().filter(priority__lt=BULK_BELOW).order_by()
        for organization in organizations_waiting(model):
            count = due.filter(organization=organization)[: settings.BULK_HIGH_WATER].count()
            if count:
                counts[organization] += count
    return counts


gauge = Gauge()
