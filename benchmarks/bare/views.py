"""Two views: one that validates 8 fields, inserts a row and publishes, and a batch that only stores and publishes."""

import json
import threading
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

import celery_app  # noqa: F401
from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import Event, Notification
from apps.notifications.queue.broker import Broker, Wake, publisher
from apps.templates.models import TemplateVersion
from apps.users.models import Organization

_local = threading.local()


class RecipientSerializer(serializers.Serializer[Any]):
    email = serializers.EmailField()


class MessageSerializer(serializers.Serializer[Any]):
    """Eight fields."""

    recipient = RecipientSerializer()
    template_code = serializers.CharField(max_length=100)
    channels = serializers.ListField(child=serializers.ChoiceField(choices=["email", "push"]), required=False)
    variables = serializers.DictField(required=False)
    language = serializers.CharField(required=False, max_length=35)
    request_id = serializers.CharField(required=False, max_length=255)
    priority = serializers.IntegerField(required=False, default=5, min_value=1, max_value=10)
    scheduled_at = serializers.DateTimeField(required=False)


class BareSingle(APIView):
    """Validate, insert one row with the ORM, publish and wait for the broker's confirmation."""

    def post(self, request: Request) -> Response:
        serializer = MessageSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        row = Notification.objects.create(
            organization_id=_known()[0],
            template_version_id=_known()[1],
            variables=serializer.validated_data.get("variables", {}),
            request_id=serializer.validated_data.get("request_id"),
            body_hash="",
            correlation_id="",
            requested_by="",
            priority=serializer.validated_data["priority"],
        )
        if not hasattr(_local, "broker"):
            _local.broker = Broker()
        _local.broker.wake("email.bulk", "email", [str(row.pk)])
        return Response({"id": str(row.pk), "status": "queued"}, status=202)


@csrf_exempt
def bare_batch(request: HttpRequest) -> JsonResponse:
    """Parse, the same rows as the product's, the same wake-ups."""
    organization, version = _known()
    deadline = timezone.now() + timedelta(days=1)
    notifications, rows, events = [], [], []
    for item in json.loads(request.body)["notifications"]:
        notification = Notification(
            organization_id=organization,
            template_version_id=version,
            request_id=item["request_id"],
            variables=item["variables"],
            body_hash="0" * 64,
            priority=4,
            correlation_id="bare",
            requested_by="bare",
        )
        row = EmailLog(
            notification=notification,
            organization_id=organization,
            email=item["recipient"]["email"],
            recipient_hash="0" * 64,
            language="en",
            priority=4,
            deadline_at=deadline,
        )
        notifications.append(notification)
        rows.append(row)
        decision = {"delivery_id": str(row.pk), "channel": "email", "language": "en", "decision": "send"}
        events.append(Event(notification=notification, kind="accepted", data={"decisions": [decision]}))
    with transaction.atomic():
        Notification.objects.bulk_create(notifications)
        EmailLog.objects.bulk_create(rows)
        Event.objects.bulk_create(events)
    publisher.wake([Wake("email", 4, str(row.pk), 0) for row in rows])
    return JsonResponse({"accepted": len(rows)}, status=202)


def _known() -> tuple[Any, Any]:
    if not hasattr(_local, "known"):
        _local.known = Organization.objects.get(slug="bench").pk, TemplateVersion.objects.get().pk
    return _local.known  # type: ignore[no-any-return]


urlpatterns = [path("single/", BareSingle.as_view()), path("batch/", bare_batch)]
