"""Notifications over HTTP: sent, listed, explained, cancelled."""

import uuid
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.notifications.acceptance import submission
from apps.notifications.acceptance.idempotency import Attempt, body_hash, read_key
from apps.notifications.api import queries
from apps.notifications.api.serializers.notifications import (
    AcceptedSerializer,
    EventSerializer,
    NotificationSerializer,
    TrialSerializer,
)
from apps.notifications.api.serializers.requests import (
    CHANNEL_OF_PATH,
    NotificationFilterSerializer,
    NotificationRequestSerializer,
)
from apps.notifications.errors import AlreadyDelivered, NotHere, NotifierError
from apps.notifications.models import Event, Notification, deliveries_of
from apps.notifications.models.statuses import summary
from apps.notifications.transitions import cancel
from apps.users.access import throttling
from apps.users.access.list_limits import bounded
from apps.users.access.permissions import OrganizationRows, caller_of
from apps.users.models.scopes import Scope
from notifier.lib.fields.filters import FilteredRows
from notifier.lib.fields.query_parameters import DryRunQuery
from notifier.lib.fields.validation import CursorQuery

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key", location="header", description="At most 255 visible ASCII characters."
)
READ_WRITE = {"GET": Scope.NOTIFICATIONS_READ, "POST": Scope.NOTIFICATIONS_WRITE}


class NotificationRows(OrganizationRows):
    kwargs: dict[str, Any]

    def get_queryset(self) -> QuerySet[Any]:
        rows = self.visible(Notification.objects.select_related("template_version__template"))
        return self.writable(rows, path="live")

    def notification(self) -> Notification:
        """By id first, then by request_id."""
        key, rows = self.kwargs["key"], NotificationRows.get_queryset(self)
        try:
            found: Notification | None = rows.filter(pk=uuid.UUID(key)).first()
        except ValueError:
            found = None
        # Both named, as the index has them: by the organization alone it would be read from end to end.
        found = found or rows.filter(request_id=key, live__in=(True, False)).order_by("-live").first()
        if found is None:
            raise NotHere("There is no such thing here.")
        return found


def shown(notification: Notification) -> Response:
    return Response(
        NotificationSerializer(notification, context={"rows": deliveries_of([notification])}).data
    )


def accepted(made: submission.Accepted) -> dict[str, Any]:
    """As `AcceptedSerializer` says it, without the cost of one for each of a thousand."""
    version = made.notification.template_version
    return {
        "id": str(made.notification.pk),
        "request_id": made.notification.request_id,
        "status": summary(row.shown_status for row in made.deliveries),
        "template": {"code": version.template.code, "version": version.number},
        "deliveries": [
            {
                "id": str(row.pk),
                "channel": str(row.channel),
                "status": str(row.shown_status),
                "reason": row.reason,
                "recipient": row.masked_recipient,
            }
            for row in made.deliveries
        ],
    }


def rejected(index: int, error: NotifierError) -> dict[str, Any]:
    data = accepted(error.data) if isinstance(error, AlreadyDelivered) else {}
    return {
        "index": index,
        "result": "rejected",
        "error": error.code,
        "message": error.message,
        "errors": error.fields,
        **data,
    }


# Their checks keep nothing of what they check, and making one costs more than its checks.
ONE = NotificationRequestSerializer()


def parse_submission(
    request: Request, shape: NotificationRequestSerializer, body: Any
) -> submission.Submission:
    """Raises ValidationError, as the shape's `is_valid` would."""
    wanted = shape.to_request(
        shape.run_validation(body),
        correlation_id=request._request.correlation_id,  # type: ignore[attr-defined]
        correlation_given=request._request.correlation_id_given,  # type: ignore[attr-defined]
    )
    return submission.Submission(wanted, body_hash(body))


def answer_once(
    request: Request, path: str, digest: str, accept: Callable[[], tuple[dict[str, Any], str]]
) -> Response:
    """202 with what `accept` returns (the data and its location), or the answer kept for the request's key."""
    key = read_key(request.headers.get("Idempotency-Key"))
    attempt = Attempt(caller_of(request), path, key, digest) if key else None
    # Without a key there is nothing to keep beside what is accepted, and that is all or nothing by itself.
    with nullcontext() if attempt is None else transaction.atomic():
        if attempt is not None and (record := attempt.earlier()) is not None:
            answer = Response(record.answer, record.status_code)
            answer["Idempotent-Replayed"] = "true"
            location = record.location
        else:
            data, location = accept()
            if attempt is not None:
                attempt.keep(status.HTTP_202_ACCEPTED, data, location)
            answer = Response(data, status.HTTP_202_ACCEPTED)
    if location:
        answer["Location"] = location
    return answer


DRY_RUN = "A dry run: nothing is stored or sent."


def told(data: Any, message: str) -> Response:
    """A 200 with a message of its own."""
    response = Response(data)
    response.message = message  # type: ignore[attr-defined]
    return response


class NotificationListView(NotificationRows, generics.ListAPIView[Notification]):
    """Tell one person one thing (POST), or find notifications (GET, newest first)."""

    scopes: ClassVar = READ_WRITE
    self_service = ("GET",)
    serializer_class = NotificationSerializer
    grows = True
    parameters: ClassVar = {"GET": NotificationFilterSerializer, "POST": DryRunQuery}

    @extend_schema(parameters=[NotificationFilterSerializer])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        shown = self.get_serializer(page, many=True, context={"rows": deliveries_of(page or ())})
        return self.get_paginated_response(shown.data)

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asked = NotificationFilterSerializer(data=self.request.query_params.dict())
        asked.is_valid(raise_exception=True)
        organization = caller_of(self.request).organization
        # By a status it asks the database a question of its own first.
        with bounded(organization) if "status" in asked.validated_data else nullcontext():
            return queries.filtered(queryset, asked.validated_data, organization=organization)

    @extend_schema(
        request=NotificationRequestSerializer,
        responses={200: TrialSerializer, 202: AcceptedSerializer},
        parameters=[IDEMPOTENCY_KEY, DryRunQuery],
    )
    def post(self, request: Request) -> Response:
        caller = caller_of(request)
        dry_run = DryRunQuery.is_dry_run(request)
        one = parse_submission(request, ONE, self.body(request))
        if dry_run:
            planned = submission.preview(caller=caller, asked=one)
            return told({"decisions": planned.decisions, "rendered": planned.rendered}, DRY_RUN)

        throttling.check_deliveries(caller)

        def accept() -> tuple[dict[str, Any], str]:
            made = submission.submit(caller=caller, asked=one)
            throttling.charge_deliveries(caller, len(made.deliveries), items=1)
            return accepted(made), f"/api/v1/notifications/{made.notification.pk}/"

        try:
            return answer_once(request, "notifications", one.body_hash, accept)
        except AlreadyDelivered as error:
            error.data = accepted(error.data)
            raise

    def body(self, request: Request) -> Any:
        return request.data


class ChannelView(NotificationListView):
    """POST notifications/ with `channels` of this one, which the body leaves out."""

    http_method_names = ["post", "options"]
    channel = ""

    def body(self, request: Request) -> Any:
        body = request.data
        if not isinstance(body, dict):
            return body
        for name, only in (("channels", [self.channel]), ("notification_type", self.channel)):
            if body.get(name, only) != only:
                raise ValidationError({name: CHANNEL_OF_PATH.format(self.channel)}, code="conflict")
        # As if it had come to notifications/: with a request_id it is the same request there.
        rest = {name: value for name, value in body.items() if name != "notification_type"}
        return {**rest, "channels": [self.channel]}


class NotificationDetailView(NotificationRows, APIView):
    """One notification with its deliveries, by id or request_id."""

    scopes: ClassVar = READ_WRITE
    self_service = ("GET",)

    @extend_schema(responses=NotificationSerializer)
    def get(self, request: Request, key: str) -> Response:
        return shown(self.notification())


class EventListView(FilteredRows, NotificationRows, generics.ListAPIView[Event]):
    """The timeline, oldest first: every decision and attempt, with times and the provider's words."""

    scopes: ClassVar = READ_WRITE
    self_service = ("GET",)
    serializer_class = EventSerializer
    filter_class = CursorQuery
    grows = True
    # By the database's clock: an id tells the time of the host that made it.
    page_order = ("at", "id")

    def get_queryset(self) -> QuerySet[Event]:
        return Event.objects.filter(notification=self.notification()).order_by("id")


class CancelView(NotificationRows, APIView):
    """Take a notification back while nothing of it was sent."""

    scopes: ClassVar = READ_WRITE

    @extend_schema(request=None, responses=OpenApiResponse(response=NotificationSerializer))
    def post(self, request: Request, key: str) -> Response:
        notification = self.notification()
        cancel.cancel(notification=notification, by=caller_of(request).name)
        return shown(notification)
