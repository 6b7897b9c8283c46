"""Finding notifications for the list.

Its order is an index's (an organization's newest first), and it ends with a page: each row on the way is judged by
look-ups of its deliveries. What PostgreSQL could turn into a join it might, by reading all deliveries of everybody.
"""

from collections.abc import Mapping
from typing import Any

from django.db.models import Case, Min, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, Least, Now

from apps.notifications.models import BULK_BELOW, DELIVERIES, SELDOM, Notification
from apps.notifications.models.statuses import PRECEDENCE, SCHEDULED, Status
from apps.users.models import Organization

FEW_ROWS = 10_000
"""So many deliveries that may have the wanted status are looked at one by one."""
NEVER_TRIED = Q(status=Status.QUEUED, due_at__gt=Now(), attempts=0, error_code="")
"""A row that is shown as scheduled."""
_at = PRECEDENCE.index(Status.QUEUED) + 1
SHOWN: tuple[str, ...] = (*PRECEDENCE[:_at], SCHEDULED, *PRECEDENCE[_at:])
"""As `statuses.summary` has it: a notification shows the first of these that one of its deliveries has."""


def filtered(
    rows: QuerySet[Notification], asked: Mapping[str, Any], *, organization: Organization
) -> QuerySet[Notification]:
    """`rows`: the organization's.

    `asked`: any of status, channel, user, template, created_after, created_before, correlation_id.
    """
    direct = {
        "user": "user_id",
        "template": "template_version__template__code",
        "created_after": "created_at__gte",
        "created_before": "created_at__lt",
        "correlation_id": "correlation_id",
    }
    rows = rows.filter(**{path: asked[name] for name, path in direct.items() if name in asked})
    if "channel" in asked:
        one = DELIVERIES[asked["channel"]].objects.filter(notification=OuterRef("pk")).order_by()
        rows = rows.alias(sent_by=Subquery(one.values("pk")[:1])).filter(sent_by__isnull=False)
    if "status" in asked:
        rows = _with_status(rows, asked["status"], organization)
    return rows


def _with_status(
    rows: QuerySet[Notification], wanted: str, organization: Organization
) -> QuerySet[Notification]:
    """Those that show `wanted`: a delivery has it, and none has a status that is shown before it."""
    sources = _candidates(wanted, organization)
    if sources:
        first, *others = (found.order_by().values_list("notification") for found in sources)
        found = {pk for (pk,) in first.union(*others, all=True)[: FEW_ROWS + 1]}
        # Where there are more the newest of them are met soon; judging all of them takes seconds.
        if len(found) <= FEW_ROWS:
            rows = rows.filter(pk__in=found)
    shown = [Coalesce(Subquery(_first_shown(model)), Value(len(SHOWN))) for model in DELIVERIES.values()]
    place = SHOWN.index(wanted)
    # One without any delivery is shown as skipped, too.
    return rows.alias(shown=Least(*shown)).filter(
        shown__in=[place, len(SHOWN)] if wanted == Status.SKIPPED else [place]
    )


def _candidates(wanted: str, organization: Organization) -> list[QuerySet[Any]]:
    """Deliveries with a status that few have, each query by a partial index; none: walk the newest instead."""
    if wanted == Status.SENDING or wanted in SELDOM:
        conditions = [Q(status=wanted)]
    elif wanted in (Status.QUEUED, SCHEDULED):
        waits = NEVER_TRIED if wanted == SCHEDULED else Q(status=Status.QUEUED)
        conditions = [waits & Q(priority__gte=BULK_BELOW), waits & Q(priority__lt=BULK_BELOW)]
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
    # A queued row that is due later is tried as such before it is as any queued one.
    cases.sort(key=lambda case: case.condition is not NEVER_TRIED)
    mine = model.objects.filter(notification=OuterRef("pk")).order_by().values("notification")
    found: QuerySet[Any] = mine.annotate(first=Min(Case(*cases))).values("first")
    return found
