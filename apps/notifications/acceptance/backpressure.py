"""Whether so much waits in the bulk lanes that more of it is refused for now; transactional mail never is.

What counts is what is due: a schedule for next year holds up nobody today. Past the mark an organization is still
taken up to its equal part of it, so that nobody's flood closes the lanes to another.
"""

import threading
import time
from collections import Counter
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from apps.notifications.errors import QuotaReached, TooManyWaiting
from apps.notifications.models import BULK_BELOW, DELIVERIES
from apps.notifications.models.statuses import Status
from apps.notifications.transitions.claims import organizations_waiting
from apps.users.access import quotas
from notifier.lib.database.tenancy import everywhere

LOOK_EVERY = 2.0
"""Seconds for which an answer stands: what comes in meanwhile may go past the mark."""
RETRY_AFTER = 30


class Gauge:
    """One process's view of how many rows wait. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._due: Counter[Any] = Counter()

    def is_full(self, organization: Any) -> bool:
        """Whether no more bulk of this organization's is taken now."""
        with self._lock:
            stale = time.monotonic() - self._looked_at >= LOOK_EVERY
            if stale:
                self._looked_at = time.monotonic()
        if stale:
            # The lanes are every organization's.
            with everywhere():
                self._due = _due()
        due, mark = self._due, settings.BULK_HIGH_WATER
        if due.total() < mark:
            return False
        return bool(due[organization] >= mark / len({*due, organization}))


def refusal() -> TooManyWaiting:
    return TooManyWaiting(
        f"{settings.BULK_HIGH_WATER} messages of low priority are due already, and this organization has its part of "
        f"them; try again later, or send what can't wait with a priority from {BULK_BELOW}.",
        headers={"Retry-After": str(RETRY_AFTER)},
    )


def over_schedule(organization: Any) -> bool:
    """Whether the organization keeps as many messages for later as it may."""
    later = Q(organization=organization, status=Status.QUEUED, due_at__gt=Now())
    waiting = (model.objects.filter(later) for model in DELIVERIES.values())
    return quotas.reached("QUOTA_SCHEDULED", organization, *waiting)


def schedule_refusal() -> QuotaReached:
    return QuotaReached(
        f"This organization keeps {settings.QUOTA_SCHEDULED} messages for later already, which is its quota "
        "(QUOTA_SCHEDULED); cancel some, or schedule this one when others have gone out."
    )


def _due() -> Counter[Any]:
    """Due bulk rows by organization, each counted no further than the mark."""
    found: Counter[Any] = Counter()
    for model in DELIVERIES.values():
        due = model.objects.due().filter(priority__lt=BULK_BELOW).order_by()
        for organization in organizations_waiting(model):
            count = due.filter(organization=organization)[: settings.BULK_HIGH_WATER].count()
            if count:
                found[organization] += count
    return found


gauge = Gauge()
