"""Finding notifications for the list."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from apps.notifications.models import DELIVERIES, Notification
from apps.notifications.statuses import PRECEDENCE, SCHEDULED, Status


def filtered(rows: QuerySet[Notification], asked: Mapping[str, Any]) -> QuerySet[Notification]:
    """`asked`: any of status, channel, user, template, created_after, created_before, correlation_id."""
    direct = {
        "user": "user_id",
        "template": "template_version__template__code",
        "created_after": "created_at__gte",
        "created_before": "created_at__lt",
        "correlation_id": "correlation_id",
    }
    rows = rows.filter(**{path: asked[name] for name, path in direct.items() if name in asked})
    if "channel" in asked:
        rows = rows.filter(Exists(DELIVERIES[asked["channel"]].objects.filter(notification=OuterRef("pk"))))
    if "status" in asked:
        rows = _with_status(rows, asked["status"])
    return rows


def _with_status(rows: QuerySet[Notification], wanted: str) -> QuerySet[Notification]:
    """Those that show `wanted`: a delivery has it, and none has a status that is shown before it."""
    scheduled = Q(status=Status.QUEUED, due_at__gt=Now(), attempts=0, error_code="")
    if wanted == SCHEDULED:
        has, before = scheduled, Q(status=Status.SENDING) | (Q(status=Status.QUEUED) & ~scheduled)
    else:
        earlier = PRECEDENCE[: PRECEDENCE.index(Status(wanted))]
        has, before = Q(status=wanted), Q(status__in=earlier)
        if wanted == Status.QUEUED:
            has &= ~scheduled
    return rows.filter(_any(has)).exclude(_any(before))


def _any(condition: Q) -> Q:
    found = Q()
    for model in DELIVERIES.values():
        found |= Q(Exists(model.objects.filter(condition, notification=OuterRef("pk"))))
    return found
