"""Replay of callbacks that ended, delivered or not: the same webhook events under the same ids."""

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db.models import QuerySet
from django.utils import timezone

from apps.notifications.errors import EndpointDisabled, Invalid
from apps.notifications.models import EXCHANGE, Callback, WebhookEndpoint, from_now
from apps.notifications.models.statuses import Status

log = structlog.get_logger(__name__)

NOT_TAKEN = (Status.FAILED, Status.CANCELLED)
ENDED = (*NOT_TAKEN, Status.DELIVERED)
LONGEST = timedelta(days=31)
MOST = 10_000
"""Callbacks that one request may queue again."""
BATCH = 100
BATCH_SECONDS = 2.0
"""Each batch is due so many seconds after the one before: other organizations' callbacks go in between."""


def select(
    endpoint: WebhookEndpoint, *, since: datetime, until: datetime | None, delivered: bool
) -> list[Any]:
    """Ids of the ended callbacks made from `since` to before `until` (default: now), oldest first.

    `delivered`: also those that the receiver accepted. Raises EndpointDisabled, and Invalid for a range that is too
    long or holds too many.
    """
    if not endpoint.enabled:
        raise EndpointDisabled("The endpoint is disabled: PUT it again, and then replay.")
    until = until or timezone.now()
    if until <= since:
        raise Invalid.at("since", "order", "This has to be before `until`, and in the past.")
    if until - since > LONGEST:
        raise Invalid.at("since", "too_long", f"The range may be {LONGEST.days} days long.")
    rows: QuerySet[Callback] = Callback.objects.filter(
        organization=endpoint.organization_id,
        created_at__gte=since,
        created_at__lt=until,
        status__in=ENDED if delivered else NOT_TAKEN,
    ).exclude(url=EXCHANGE)
    if not endpoint.url:
        rows = rows.exclude(url="")
    ids = list(rows.order_by("id").values_list("pk", flat=True)[: MOST + 1])
    if len(ids) > MOST:
        raise Invalid.at("until", "too_many", f"The range has over {MOST} callbacks; take a shorter one.")
    return ids


def replay(ids: list[Any], *, by: str) -> int:
    """Queue these ended callbacks again with a new retry schedule; returns how many. The scheduler publishes them."""
    queued = 0
    for number, start in enumerate(range(0, len(ids), BATCH)):
        # A second replay of the same rows at the same time finds none that have ended.
        queued += Callback.objects.filter(pk__in=ids[start : start + BATCH], status__in=ENDED).update(
            status=Status.QUEUED,
            attempts=0,
            error_code="",
            due_at=from_now(number * BATCH_SECONDS),
            published_at=None,
            finished_at=None,
        )
    log.info("callbacks_replayed", count=queued, by=by)
    return queued
