"""How many notifications used each version of a template, day by day."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar

from django.db.models import Count
from django.db.models.functions import TruncDate
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.notifications.models import Notification
from apps.templates.api.views.templates import TemplateRows
from apps.users.access.list_limits import bounded
from apps.users.access.permissions import caller_of
from apps.users.models.scopes import Scope
from notifier.lib.fields.validation import StrictSerializer

DAYS_LIMIT = 92
"""A quarter, today included: every notification of the range is counted again for each request."""
DEFAULT_DAYS = 30


def _today() -> date:
    return timezone.now().astimezone(UTC).date()


class UsageSerializer(StrictSerializer):
    since = serializers.DateField(
        required=False,
        help_text=f"The first day (UTC), at most {DAYS_LIMIT} days ago. Default: {DEFAULT_DAYS} days.",
    )

    def validate_since(self, value: date) -> date:
        if not timedelta(0) <= _today() - value < timedelta(days=DAYS_LIMIT):
            raise serializers.ValidationError(
                f"Begin today or up to {DAYS_LIMIT - 1} days ago.", code="out_of_range"
            )
        return value


class DaySerializer(serializers.Serializer[Any]):
    day = serializers.DateField()
    version = serializers.IntegerField()
    notifications = serializers.IntegerField()


class UsedSerializer(serializers.Serializer[Any]):
    since = serializers.DateField()
    total = serializers.IntegerField()
    days = DaySerializer(many=True)


class UsageView(TemplateRows, APIView):
    """How many notifications used each version on each day (UTC); days without any are left out."""

    scopes: ClassVar = {"GET": Scope.TEMPLATES_READ}
    parameters: ClassVar = {"GET": UsageSerializer}

    @extend_schema(parameters=[UsageSerializer], responses=UsedSerializer)
    def get(self, request: Request, code: str) -> Response:
        template = self.template()
        serializer = UsageSerializer(data=request.query_params.dict())
        serializer.is_valid(raise_exception=True)
        since = serializer.validated_data.get("since", _today() - timedelta(days=DEFAULT_DAYS - 1))
        rows: Any = (
            Notification.objects.filter(
                organization=template.organization_id,
                template_version__template=template,
                created_at__gte=datetime.combine(since, time(), UTC),
            )
            .annotate(day=TruncDate("created_at", tzinfo=UTC))
            .values("template_version__number", "day")
            .annotate(notifications=Count("pk"))
            .order_by("day", "template_version__number")
        )
        with bounded(caller_of(request).organization):
            counted = list(rows)
        days = [
            {
                "day": row["day"],
                "version": row["template_version__number"],
                "notifications": row["notifications"],
            }
            for row in counted
        ]
        return Response({"since": since, "total": sum(row["notifications"] for row in days), "days": days})
