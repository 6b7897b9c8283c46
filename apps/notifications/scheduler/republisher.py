"""What the scheduler does in each pass: free the rows of dead workers, and wake workers for due rows."""

from typing import Any

import structlog
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.models import BULK_BELOW, CALLBACKS, Callback, from_now
from apps.notifications.queue import broker
from apps.notifications.queue.broker import Broker, BrokerUnavailable
from apps.notifications.transitions import outcomes
from apps.notifications.webhooks.delivery import free_lapsed as free_lapsed_callbacks

log = structlog.get_logger(__name__)

FRESH_SECONDS = 2
"""A row younger than this is still to be published by the API process that stored it."""
QUIET_SECONDS = 60
"""A published row that is still due after this, with nothing waiting in its queue: the message is lost."""
STALE_SECONDS = 15 * 60
"""A published row that is still due after this is published again, whatever its queue holds."""
ROWS_PER_PASS = 1000
FEW_ROWS = 100
"""So few rows get a message each, to spread over all slots: they may have waited in one slot before."""


def free_lapsed() -> int:
    """End the claims whose lease has lapsed: it is unknown whether the messages went out. Returns how many rows."""
    freed = 0
    for model in DELIVERIES.values():
        lapsed = model.objects.lapsed().select_related("notification__template_version__template")
        for row in lapsed.order_by("lease_until")[:ROWS_PER_PASS]:
            try:
                with transaction.atomic():
                    freed += outcomes.unknown(
                        row,
                        "sender_lost",
                        f"The sender {row.claimed_by} stopped.",
                        attempts=row.attempts + 1,
                        lapsed=True,
                    )
            except IntegrityError:
                # A row that can't be freed must not block the others.
                log.exception("row_not_freed", delivery_id=str(row.pk))
    return freed + free_lapsed_callbacks(ROWS_PER_PASS)


class Republisher:
    """Publishes due rows that no message in a queue names any more."""

    def __init__(self) -> None:
        self.broker = Broker()
        self._connects_seen = 0

    def republish(self) -> int:
        """Wake workers for what needs it; returns the number of rows. Raises nothing: the next pass tries again."""
        published = 0
        try:
            for channel, model in DELIVERIES.items():
                due = model.objects.due()
                urgent, bulk = due.filter(priority__gte=BULK_BELOW), due.filter(priority__lt=BULK_BELOW)
                published += self._republish_lane(channel, broker.lane_of(channel, BULK_BELOW), urgent)
                published += self._republish_lane(channel, broker.lane_of(channel, BULK_BELOW - 1), bulk)
            published += self._republish_lane(CALLBACKS, CALLBACKS, Callback.objects.due())
            self._connects_seen = self.broker.connects
        except BrokerUnavailable:
            pass
        return published

    def _republish_lane(self, channel: str, lane: str, due: QuerySet[Any]) -> int:
        if not due.exists():
            return 0
        age = STALE_SECONDS
        if self.broker.ready_messages(lane) == 0:
            # A broker that was away may have come back without its messages: then there is nothing to wait for.
            age = 0 if self.broker.connects != self._connects_seen else QUIET_SECONDS
        # Two queries, each by an index: the rows that rightly wait in the queue may be a million.
        never = due.filter(published_at=None, created_at__lt=from_now(-FRESH_SECONDS)).order_by("due_at")
        lost = due.filter(published_at__lt=from_now(-age)).order_by("published_at")
        rows = list(never.values_list("pk", "fence")[:ROWS_PER_PASS])
        rows += lost.values_list("pk", "fence")[: ROWS_PER_PASS - len(rows)]
        size = 1 if len(rows) <= FEW_ROWS else broker.ids_per_message(lane)
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            self.broker.wake(lane, channel, [str(pk) for pk, _ in batch])
            # By fence, for the same reason as in `publisher.Wake`.
            for fence in {fence for _, fence in batch}:
                same = [pk for pk, own in batch if own == fence]
                due.model.objects.filter(pk__in=same, fence=fence).update(published_at=Now())
        return len(rows)
