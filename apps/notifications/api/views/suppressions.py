"""Suppressions over HTTP: list addresses that nothing is sent to and why, add one, lift one."""

import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.notifications.models import Suppression
from apps.users.access.permissions import OrganizationRows, caller_of, require_reach_of_recipient
from apps.users.models.scopes import Scope
from apps.users.recipient_hashes import hashes_of, recipient_hash
from notifier.channels.registry import CHANNELS, NOUNS, choices
from notifier.lib.fields.filters import FilteredRows
from notifier.lib.fields.validation import (
    CursorQuery,
    LineField,
    MaskedField,
    OneOfField,
    StrictSerializer,
)


class SuppressionSerializer(serializers.ModelSerializer[Suppression]):
    recipient = serializers.CharField(
        source="masked_recipient", help_text="Masked. Empty for a device token, and once a person is erased."
    )
    detail = MaskedField(help_text="Addresses masked.")

    class Meta:
        model = Suppression
        fields = [
            "id", "channel", "recipient", "reason", "detail", "created_at", "created_by", "lifted_at",
            "lifted_by", "lift_reason",
        ]  # fmt: skip


class NewSuppressionSerializer(StrictSerializer):
    channel = OneOfField(choices=choices())
    recipient = LineField(max_length=4096, help_text=f"{NOUNS.capitalize()}.")
    reason = LineField(
        required=False, max_length=64, default="by_hand", help_text="A short code, for filters."
    )
    detail = LineField(required=False, allow_blank=True, max_length=500, default="")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        try:
            attrs["recipient"] = CHANNELS[attrs["channel"]].address.spelled(attrs["recipient"])
        except ValueError as error:
            raise serializers.ValidationError({"recipient": str(error)}, "invalid") from error
        return attrs


class LiftSerializer(StrictSerializer):
    reason = LineField(max_length=200, help_text="Why messages may be sent to it again.")


class SuppressionFilterSerializer(CursorQuery):
    """The list's query parameters."""

    channel = OneOfField(choices=choices(), required=False)
    recipient = LineField(required=False, max_length=4096, help_text="This exact address or device token.")
    reason = LineField(required=False, max_length=64)
    active = serializers.BooleanField(required=False, help_text="false: only those that were lifted.")


class SuppressionRows(OrganizationRows):
    scopes: ClassVar = {"GET": Scope.SUPPRESSIONS_READ, "POST": Scope.SUPPRESSIONS_WRITE}

    def get_queryset(self) -> QuerySet[Suppression]:
        return self.visible(Suppression.objects.order_by("-id"))


class SuppressionListView(FilteredRows, SuppressionRows, generics.ListAPIView[Suppression]):
    """The addresses and device tokens that nothing is sent to, newest first; lifted ones are included."""

    serializer_class = SuppressionSerializer
    filter_class = SuppressionFilterSerializer
    grows = True

    def narrowed(self, rows: QuerySet[Any], query: Mapping[str, Any]) -> QuerySet[Any]:
        rows = rows.filter(**{name: query[name] for name in ("channel", "reason") if name in query})
        if "active" in query:
            rows = rows.filter(lifted_at__isnull=query["active"])
        if "recipient" in query:
            rows = rows.filter(recipient_hash__in=hashes_of(query["recipient"]))
        return rows

    @extend_schema(parameters=[SuppressionFilterSerializer])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.list(request, *args, **kwargs)

    @extend_schema(
        request=NewSuppressionSerializer, responses={200: SuppressionSerializer, 201: SuppressionSerializer}
    )
    def post(self, request: Request) -> Response:
        """Send nothing to an address or a device token from now on. One already suppressed is unchanged: a 200."""
        serializer = NewSuppressionSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        wanted = serializer.validated_data
        caller = caller_of(request)
        require_reach_of_recipient(request, wanted["channel"], wanted["recipient"])
        row, made = Suppression.objects.get_or_create(
            organization=caller.organization,
            channel=wanted["channel"],
            recipient_hash=recipient_hash(wanted["channel"], wanted["recipient"]),
            lifted_at=None,
            defaults={
                # A token is found by its hash; only an address is readable for a person.
                "recipient": wanted["recipient"] if CHANNELS[wanted["channel"]].address.readable else "",
                "reason": wanted["reason"],
                "detail": wanted["detail"],
                "created_by": caller.name,
            },
        )
        return Response(
            SuppressionSerializer(row).data, status.HTTP_201_CREATED if made else status.HTTP_200_OK
        )


class LiftView(SuppressionRows, APIView):
    """Send to the address or device token again. A new hard bounce suppresses it again."""

    @extend_schema(request=LiftSerializer, responses=SuppressionSerializer)
    def post(self, request: Request, suppression: uuid.UUID) -> Response:
        serializer = LiftSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        rows = self.get_queryset().filter(pk=suppression)
        # One that was lifted before keeps its `lifted_by` and `lift_reason`.
        rows.lift(by=caller_of(request).name, reason=serializer.validated_data["reason"])  # type: ignore[attr-defined]
        return Response(SuppressionSerializer(get_object_or_404(rows)).data)
