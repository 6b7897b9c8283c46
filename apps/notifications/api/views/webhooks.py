"""The organization's webhook endpoint over HTTP: its URL, its secret, and the log of attempts."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.notifications.api.serializers.webhooks import (
    AttemptFilterSerializer,
    AttemptSerializer,
    CallbackReplaySerializer,
    CallbacksReplayedSerializer,
    EndpointRequestSerializer,
    EndpointSerializer,
    EndpointWithSecretSerializer,
    QueuedSerializer,
    SecretRotationSerializer,
)
from apps.notifications.errors import NotHere
from apps.notifications.models import CallbackAttempt, WebhookEndpoint
from apps.notifications.webhooks import events, redelivery
from apps.users.access.permissions import OrganizationRows, caller_of
from apps.users.models.scopes import Scope
from notifier.lib.fields.filters import FilteredRows

SCOPES = {
    "GET": Scope.WEBHOOKS_READ,
    "POST": Scope.WEBHOOKS_WRITE,
    "PUT": Scope.WEBHOOKS_WRITE,
    "DELETE": Scope.WEBHOOKS_WRITE,
}


def with_secret(endpoint: WebhookEndpoint, secret: str | None) -> Response:
    return Response({**EndpointSerializer(endpoint).data, "secret": secret})


class EndpointRows(OrganizationRows):
    def endpoints(self) -> QuerySet[WebhookEndpoint]:
        return self.visible(WebhookEndpoint.objects.all())

    def endpoint(self) -> WebhookEndpoint:
        found = self.endpoints().first()
        if found is None:
            raise NotHere("There is no endpoint yet; PUT one.")
        return found


class EndpointView(EndpointRows, APIView):
    """Where the organization's webhook events go. `url` is empty where only a secret exists, for `callback_url`s."""

    scopes: ClassVar = SCOPES

    @extend_schema(responses=EndpointSerializer)
    def get(self, request: Request) -> Response:
        return Response(EndpointSerializer(self.endpoint()).data)

    @extend_schema(request=EndpointRequestSerializer, responses=EndpointWithSecretSerializer)
    def put(self, request: Request) -> Response:
        """Create or change the endpoint. `secret` is in the first answer only: keep it, it verifies every call."""
        serializer = EndpointRequestSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        with transaction.atomic():
            WebhookEndpoint.objects.get_or_create(organization=caller_of(request).organization)
            rows = self.endpoints()
            rows.update(**serializer.validated_data, disabled_reason="", failing_since=None)
            # Decided in the database: of two concurrent requests only one is shown the secret.
            first = bool(rows.filter(secret_shown=False).update(secret_shown=True))
            endpoint = self.endpoint()
        return with_secret(endpoint, endpoint.secret if first else None)

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        """Delete the URL and the secret. Callbacks that wait for it are cancelled; other URLs get a new secret."""
        self.endpoint().delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class RotateView(EndpointRows, APIView):
    """A new secret, shown once. Until the overlap ends every call is signed with both."""

    scopes: ClassVar = SCOPES

    @extend_schema(request=SecretRotationSerializer, responses=EndpointWithSecretSerializer)
    def post(self, request: Request) -> Response:
        serializer = SecretRotationSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        endpoint = self.endpoint()
        endpoint.rotate(overlap=serializer.validated_data["overlap"])
        return with_secret(endpoint, endpoint.secret)


class TestView(EndpointRows, APIView):
    """Send a test event to the endpoint; the log of attempts shows the result."""

    scopes: ClassVar = SCOPES

    @extend_schema(request=None, responses={202: QueuedSerializer})
    def post(self, request: Request) -> Response:
        endpoint = self.endpoint()
        if not endpoint.url or not endpoint.enabled:
            raise NotHere("There is no enabled endpoint; PUT one.")
        with transaction.atomic():
            row = events.announce_test(endpoint.organization)
        return Response({"id": str(row.pk), "type": row.type}, status.HTTP_202_ACCEPTED)


class CallbackReplayView(EndpointRows, APIView):
    """Send callbacks of a range of time again, under the same `webhook-id`s. Those that still wait are left alone."""

    scopes: ClassVar = SCOPES

    @extend_schema(request=CallbackReplaySerializer, responses=CallbacksReplayedSerializer)
    def post(self, request: Request) -> Response:
        serializer = CallbackReplaySerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        wanted = serializer.validated_data
        ids = redelivery.select(
            self.endpoint(),
            since=wanted["since"],
            until=wanted.get("until"),
            delivered=wanted["status"] == "all",
        )
        dry_run = wanted["dry_run"]
        queued = len(ids) if dry_run else redelivery.replay(ids, by=caller_of(request).name)
        return Response({"dry_run": dry_run, "queued": queued})


class AttemptListView(FilteredRows, OrganizationRows, generics.ListAPIView[CallbackAttempt]):
    """Every attempt of every callback, newest first."""

    scopes: ClassVar = SCOPES
    serializer_class = AttemptSerializer
    filter_class = AttemptFilterSerializer
    grows = True

    def get_queryset(self) -> QuerySet[CallbackAttempt]:
        return self.visible(CallbackAttempt.objects.select_related("callback"))

    def narrowed(self, rows: QuerySet[Any], query: Mapping[str, Any]) -> QuerySet[Any]:
        return rows.filter(callback__notification=query["notification"]) if "notification" in query else rows

    @extend_schema(parameters=[AttemptFilterSerializer])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.list(request, *args, **kwargs)
