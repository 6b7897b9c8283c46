"""Endpoints of API keys. A caller gives a key at most its own permissions, and changes no key that has more."""

from typing import Any, ClassVar

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.users.access import quotas
from apps.users.access.permissions import BeyondReach, OrganizationRows, caller_of, require_reach
from apps.users.api.serializers.keys import (
    ApiKeySerializer,
    IssuedKeySerializer,
    KeyChangeSerializer,
    KeyRotationSerializer,
    may_give_addresses,
    may_give_limit,
)
from apps.users.models import ApiKey, Organization
from apps.users.models.scopes import Scope
from notifier.lib.fields.filters import FilteredRows


class KeyEnded(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "key_ended"
    default_detail = "This key has expired or was revoked; make a new one."


class KeyRows(OrganizationRows):
    def get_queryset(self) -> QuerySet[ApiKey]:
        return self.visible(ApiKey.objects.order_by("id"))

    def get_serializer_context(self) -> dict[str, Any]:
        return {"request": self.request, "caller": caller_of(self.request)}


class KeyListView(KeyRows, FilteredRows, generics.ListCreateAPIView[ApiKey]):
    """List the organization's keys, the ended ones too, or make one. Only its creation shows the key itself."""

    scopes: ClassVar = {"GET": Scope.API_KEYS_WRITE, "POST": Scope.API_KEYS_WRITE}
    serializer_class = ApiKeySerializer

    @extend_schema(request=ApiKeySerializer, responses={201: IssuedKeySerializer})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        caller = caller_of(request)
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        check_quota(caller.organization)
        key, plain = ApiKey.objects.issue(
            organization=caller.organization, created_by=caller.user, **serializer.validated_data
        )
        return issued(key, plain)


class KeyDetailView(KeyRows, generics.RetrieveDestroyAPIView[ApiKey]):
    """One key. Its name and limit may change, its permissions never.

    Deleting revokes it at once; its row stays, because what it did stays attributed to it.
    """

    scopes: ClassVar = dict.fromkeys(("GET", "PATCH", "DELETE"), Scope.API_KEYS_WRITE)
    serializer_class = ApiKeySerializer
    lookup_url_kwarg = "api_key"

    @extend_schema(request=KeyChangeSerializer, responses=ApiKeySerializer)
    def patch(self, request: Request, api_key: str) -> Response:
        key = self.get_object()
        require_reach(request, key)
        serializer = KeyChangeSerializer(
            data=request.data, context={"caller": caller_of(request), "key": key}
        )
        serializer.is_valid(raise_exception=True)
        if serializer.validated_data:
            ApiKey.objects.filter(pk=key.pk).update(**serializer.validated_data)
            key.refresh_from_db()
        return Response(ApiKeySerializer(key).data)

    def perform_destroy(self, instance: ApiKey) -> None:
        require_reach(self.request, instance)
        ApiKey.objects.filter(pk=instance.pk, revoked_at=None).update(revoked_at=Now())


class RotateView(KeyRows, APIView):
    """A new key like this one (name, scopes, kind, lifetime); this one ends after `overlap` seconds."""

    scopes: ClassVar = {"POST": Scope.API_KEYS_WRITE}

    @extend_schema(request=KeyRotationSerializer, responses={201: IssuedKeySerializer})
    def post(self, request: Request, api_key: str) -> Response:
        caller = caller_of(request)
        serializer = KeyRotationSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        with transaction.atomic():
            old = get_object_or_404(self.get_queryset().select_for_update(), pk=api_key)
            require_reach(request, old)
            # The new key has the same limit and networks, and the caller gets it in the response.
            if not (may_give_limit(caller, old.rate_limit) and may_give_addresses(caller, old.addresses)):
                raise BeyondReach
            if not ApiKey.objects.alive().filter(pk=old.pk).exists():
                raise KeyEnded
            check_quota(caller.organization)
            key, plain = old.rotate(overlap=serializer.validated_data["overlap"], by=caller.user)
        return issued(key, plain)


def check_quota(organization: Organization) -> None:
    mine = ApiKey.objects.alive().filter(organization=organization)
    quotas.check("QUOTA_KEYS", organization.pk, mine, "API keys in use")


def issued(key: ApiKey, plain: str) -> Response:
    key.refresh_from_db()
    return Response({**ApiKeySerializer(key).data, "key": plain}, status.HTTP_201_CREATED)
