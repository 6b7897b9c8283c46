"""The query behind the list of notifications.

It walks an index (an organization's rows, newest first) and stops after a page; each row on the way is tested by
subqueries on its deliveries. A join is avoided: PostgreSQL might choose to read the deliveries of all organizations.
"""

from collections.abc import Mapping
from typing import Any

from django.db.models import Case, Min, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, Least, Now

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.models import BULK_BELOW, SELDOM, Notification
from apps.notifications.models.statuses import PRECEDENCE, SCHEDULED, Status
from apps.users.models import Organization

FEW_ROWS = 10_000
"""Up to this many candidate deliveries are collected by their status; with more, the newest rows are walked."""
NEVER_TRIED = Q(status=Status.QUEUED, due_at__gt=Now(), attempts=0, error_code="")
"""A delivery whose status is shown as `scheduled`."""
_at = PRECEDENCE.index(Status.QUEUED) + 1
SHOWN: tuple[str, ...] = (*PRECEDENCE[:_at], SCHEDULED, *PRECEDENCE[_at:])
"""A notification shows the first of these that one of its deliveries has, as in `statuses.summary`."""


def filtered(
    rows: QuerySet[Notification], query: Mapping[str, Any], *, organization: Organization
) -> QuerySet[Notification]:
    """The rows that match every filter. `rows`: the organization's.

    `query`: validated parameters, any of status, channel, user, template, created_after, created_before and
    correlation_id.
    """
    direct = {
        "user": "user_id",
        "template": "template_version__template__code",
        "created_after": "created_at__gte",
        "created_before": "created_at__lt",
        "correlation_id": "correlation_id",
    }
    rows = rows.filter(**{path: query[name] for name, path in direct.items() if name in query})
    if "channel" in query:
        one = DELIVERIES[query["channel"]].objects.filter(notification=OuterRef("pk")).order_by()
        rows = rows.alias(sent_by=Subquery(one.values("pk")[:1])).filter(sent_by__isnull=False)
    if "status" in query:
        rows = _with_status(rows, query["status"], organization)
    return rows


def _with_status(
    rows: QuerySet[Notification], wanted: str, organization: Organization
) -> QuerySet[Notification]:
    """Rows that show `wanted`: one delivery has it, and none has a status that takes precedence over it."""
    sources = _candidates(wanted, organization)
    if sources:
        first, *others = (found.order_by().values_list("notification") for found in sources)
        found = {pk for (pk,) in first.union(*others, all=True)[: FEW_ROWS + 1]}
        # With more candidates the walk meets the newest of them soon, whereas testing all of them takes seconds.
        if len(found) <= FEW_ROWS:
            rows = rows.filter(pk__in=found)
    shown = [Coalesce(Subquery(_first_shown(model)), Value(len(SHOWN))) for model in DELIVERIES.values()]
    place = SHOWN.index(wanted)
    # A notification without deliveries is shown as skipped, too.
    return rows.alias(shown=Least(*shown)).filter(
        shown__in=[place, len(SHOWN)] if wanted == Status.SKIPPED else [place]
    )


def _candidates(wanted: str, organization: Organization) -> list[QuerySet[Any]]:
    """Queries for deliveries with a rare status, each served by a partial index. Empty: walk the newest instead."""
    if wanted == Status.SENDING or wanted in SELDOM:
        conditions = [Q(status=wanted)]
    elif wanted in (Status.QUEUED, SCHEDULED):
        waiting = NEVER_TRIED if wanted == SCHEDULED else Q(status=Status.QUEUED)
        conditions = [waiting & Q(priority__gte=BULK_BELOW), waiting & Q(priority__lt=BULK_BELOW)]
    else:
        conditions = []
    return [
        model.objects.filter(condition, organization=organization)
        for model in DELIVERIES.values()
        for condition in conditions
    ]


def _first_shown(model: Any) -> QuerySet[Any]:
    cases = [
        When(NEVER_TRIED if status == SCHEDULED else Q(status=status), then=Value(place))
        for place, status in enumerate(SHOWN)
    ]
    # The condition for scheduled rows comes first: they are queued, too.
    cases.sort(key=lambda case: case.condition is not NEVER_TRIED)
    mine = model.objects.filter(notification=OuterRef("pk")).order_by().values("notification")
    found: QuerySet[Any] = mine.annotate(first=Min(Case(*cases))).values("first")
    return found
