"""Notifications over HTTP: send, list, read with timeline, cancel."""

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
from apps.notifications.acceptance.idempotency import Attempt, read_key
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
from apps.notifications.channels.logs import deliveries_of
from apps.notifications.errors import AlreadyDelivered, NotHere, NotifierError
from apps.notifications.models import Event, Notification, summary
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
        """The notification of the path, by id first, then by request_id. Raises NotHere."""
        key, rows = self.kwargs["key"], NotificationRows.get_queryset(self)
        try:
            found: Notification | None = rows.filter(pk=uuid.UUID(key)).first()
        except ValueError:
            found = None
        # Both values of `live` are named so that the unique index is used; else the organization's rows are scanned.
        found = found or rows.filter(request_id=key, live__in=(True, False)).order_by("-live").first()
        if found is None:
            raise NotHere("There is no such thing here.")
        return found


def shown(notification: Notification) -> Response:
    return Response(
        NotificationSerializer(notification, context={"rows": deliveries_of([notification])}).data
    )


def accepted(made: submission.Accepted) -> dict[str, Any]:
    """The same fields as `AcceptedSerializer`, without the cost of a serializer for each of 1,000 items."""
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


# Shared by all requests: validation keeps no state in it, and creating one costs more than validating.
SINGLE = NotificationRequestSerializer()


def parse_submission(
    request: Request, shape: NotificationRequestSerializer, body: Any
) -> submission.Submission:
    """The validated body with its hash. Raises ValidationError, as the shape's `is_valid` would."""
    wanted = shape.to_request(
        shape.run_validation(body),
        correlation_id=request._request.correlation_id,  # type: ignore[attr-defined]
        correlation_given=request._request.correlation_id_given,  # type: ignore[attr-defined]
    )
    return submission.Submission(wanted, submission.body_hash(body))


def answer_once(
    request: Request, path: str, digest: str, accept: Callable[[], tuple[dict[str, Any], str]]
) -> Response:
    """202 with what `accept` returns (data and location), or the stored answer for the request's Idempotency-Key."""
    header = request.headers.get("Idempotency-Key")
    attempt = None if header is None else Attempt(caller_of(request), path, read_key(header), digest)
    # Without a key no answer is stored, and accepting is atomic by itself.
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


def ok_with_message(data: Any, message: str) -> Response:
    """A 200 whose envelope has this message."""
    response = Response(data)
    response.message = message  # type: ignore[attr-defined]
    return response


class NotificationListView(NotificationRows, generics.ListAPIView[Notification]):
    """Send one message to one person (POST), or list notifications (GET, newest first)."""

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
        serializer = NotificationFilterSerializer(data=self.request.query_params.dict())
        serializer.is_valid(raise_exception=True)
        organization = caller_of(self.request).organization
        # A filter by status runs a query of its own first, which needs the time limit.
        with bounded(organization) if "status" in serializer.validated_data else nullcontext():
            return queries.filtered(queryset, serializer.validated_data, organization=organization)

    @extend_schema(
        request=NotificationRequestSerializer,
        responses={200: TrialSerializer, 202: AcceptedSerializer},
        parameters=[IDEMPOTENCY_KEY, DryRunQuery],
    )
    def post(self, request: Request) -> Response:
        caller = caller_of(request)
        dry_run = DryRunQuery.is_dry_run(request)
        wanted = parse_submission(request, SINGLE, self.body(request))
        if dry_run:
            planned = submission.preview(caller=caller, submission=wanted)
            return ok_with_message({"decisions": planned.decisions, "rendered": planned.rendered}, DRY_RUN)

        throttling.check_deliveries(caller)

        def accept() -> tuple[dict[str, Any], str]:
            made = submission.submit(caller=caller, submission=wanted)
            throttling.charge_deliveries(caller, len(made.deliveries), items=1)
            return accepted(made), f"/api/v1/notifications/{made.notification.pk}/"

        try:
            return answer_once(request, "notifications", wanted.body_hash, accept)
        except AlreadyDelivered as error:
            error.data = accepted(error.data)
            raise

    def body(self, request: Request) -> Any:
        return request.data


class ChannelView(NotificationListView):
    """The same as POST notifications/ with this channel as `channels`, which the body leaves out."""

    http_method_names = ["post", "options"]
    channel = ""

    def body(self, request: Request) -> Any:
        body = request.data
        if not isinstance(body, dict):
            return body
        for name, only in (("channels", [self.channel]), ("notification_type", self.channel)):
            if body.get(name, only) != only:
                raise ValidationError({name: CHANNEL_OF_PATH.format(self.channel)}, code="conflict")
        # The same body as for notifications/, so that a request_id names the same request on both paths.
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
    """The timeline, oldest first: every decision and attempt, with times and the provider's replies."""

    scopes: ClassVar = READ_WRITE
    self_service = ("GET",)
    serializer_class = EventSerializer
    filter_class = CursorQuery
    grows = True
    # Ordered by the database's clock: an id has the time of the host that made it.
    page_order = ("at", "id")

    def get_queryset(self) -> QuerySet[Event]:
        return Event.objects.filter(notification=self.notification()).order_by("id")


class CancelView(NotificationRows, APIView):
    """Cancel a notification while none of its deliveries was sent."""

    scopes: ClassVar = READ_WRITE

    @extend_schema(request=None, responses=OpenApiResponse(response=NotificationSerializer))
    def post(self, request: Request, key: str) -> Response:
        notification = self.notification()
        cancel.cancel(notification=notification, by=caller_of(request).name)
        return shown(notification)
