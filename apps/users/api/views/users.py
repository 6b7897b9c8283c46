"""Endpoints of people, their preferences and devices."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, status
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.users import deletion
from apps.users.access import quotas
from apps.users.access.permissions import OrganizationRows, caller_of, require_reach
from apps.users.api.serializers.preferences import PreferencesSerializer
from apps.users.api.serializers.users import DeviceSerializer, UserFilterSerializer, UserSerializer
from apps.users.models import Device, PreferenceSource, User
from apps.users.models.scopes import Scope
from apps.users.preferences import opt_outs
from apps.users.recipient_hashes import recipient_hash
from notifier.channels.push import PUSH
from notifier.channels.sms import SMS
from notifier.lib.fields.filters import FilteredRows


class UserRows(OrganizationRows):
    """The rows of people: a person without the scope sees only themself."""

    def get_queryset(self) -> QuerySet[User]:
        return self.visible(User.objects.filter(erased_at=None).order_by("id"), self_path="pk")

    def get_serializer_context(self) -> dict[str, Any]:
        return {"request": self.request, "caller": caller_of(self.request)}

    def reached(self, person: User) -> User:
        """The person, after a check that the caller may change them, where the method does. Raises BeyondReach."""
        if self.request.method not in SAFE_METHODS:
            require_reach(self.request, person)
        return person


@extend_schema_view(get=extend_schema(parameters=[UserFilterSerializer]))
class UserListView(UserRows, FilteredRows, generics.ListCreateAPIView[User]):
    """List the organization's people, or add one."""

    scopes: ClassVar = {"GET": Scope.USERS_READ, "POST": Scope.USERS_WRITE}
    self_service = ("GET",)
    serializer_class = UserSerializer
    filter_class = UserFilterSerializer

    def narrowed(self, rows: QuerySet[Any], filters: Mapping[str, Any]) -> QuerySet[Any]:
        if "email" in filters:
            rows = rows.filter(User.at(filters["email"]))
        if "phone" in filters:
            rows = rows.filter(User.reached_at(SMS.code, filters["phone"]))
        return rows

    def perform_create(self, serializer: Any) -> None:
        serializer.save(organization=caller_of(self.request).organization, password=make_password(None))


class UserDetailView(UserRows, generics.RetrieveUpdateDestroyAPIView[User]):
    """One person. Deleting keeps the delivery logs, without the person.

    Everybody may change their own name, language, time zone and quiet hours.
    """

    http_method_names = ["get", "patch", "delete", "head", "options"]
    scopes: ClassVar = {"GET": Scope.USERS_READ, "PATCH": Scope.USERS_WRITE, "DELETE": Scope.USERS_WRITE}
    self_service = ("GET", "PATCH")
    serializer_class = UserSerializer

    def get_object(self) -> User:
        return self.reached(super().get_object())

    def perform_destroy(self, instance: User) -> None:
        deletion.delete_person(instance)


class UserByAddressView(UserRows, APIView):
    """The person with this address, in any case."""

    scopes: ClassVar = {"GET": Scope.USERS_READ}
    self_service = ("GET",)

    @extend_schema(responses=UserSerializer)
    def get(self, request: Request, address: str) -> Response:
        serializer = UserFilterSerializer(data={"email": address})
        if not serializer.is_valid():
            raise Http404
        person = get_object_or_404(self.get_queryset(), User.at(serializer.validated_data["email"]))
        return Response(UserSerializer(person, context=self.get_serializer_context()).data)


class PreferencesView(UserRows, APIView):
    """Which channels a person allows, in general and for each category."""

    scopes: ClassVar = {"GET": Scope.USERS_READ, "PATCH": Scope.USERS_WRITE}
    self_service = ("GET", "PATCH")

    @extend_schema(responses=PreferencesSerializer)
    def get(self, request: Request, pk: str) -> Response:
        return Response(opt_outs.shown(get_object_or_404(self.get_queryset(), pk=pk)))

    @extend_schema(request=PreferencesSerializer, responses=PreferencesSerializer)
    def patch(self, request: Request, pk: str) -> Response:
        user = self.reached(get_object_or_404(self.get_queryset(), pk=pk))
        serializer = PreferencesSerializer(data=request.data, context={"organization": user.organization_id})
        serializer.is_valid(raise_exception=True)
        opt_outs.choose(user, serializer.choices(), source=PreferenceSource.API)
        return Response(opt_outs.shown(user))


class DeviceRows(UserRows):
    """One person's devices; a person whom the caller can't see is a 404, not an empty list."""

    kwargs: dict[str, Any]

    def owner(self) -> User:
        # A caller who registers a device for a person receives that person's messages.
        return self.reached(get_object_or_404(UserRows.get_queryset(self), pk=self.kwargs["pk"]))

    def get_queryset(self) -> QuerySet[Any]:
        return Device.objects.filter(user=self.owner()).order_by("id")


class DeviceListView(DeviceRows, FilteredRows, generics.ListCreateAPIView[Device]):
    """A person's devices. Registering a token again moves it to this person and revives it. Past the number that a
    person may have, the one that was silent for longest is retired."""

    scopes: ClassVar = {"GET": Scope.USERS_READ, "POST": Scope.USERS_WRITE}
    self_service = ("GET", "POST")
    serializer_class = DeviceSerializer

    @extend_schema(responses={200: DeviceSerializer, 201: DeviceSerializer})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.create(request, *args, **kwargs)

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        owner = self.owner()
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = dict(serializer.validated_data)
        token = values.pop("token")
        registered = Device.objects.filter(organization=owner.organization_id)
        quotas.check("QUOTA_DEVICES", owner.organization_id, registered, "devices")
        with transaction.atomic():
            device, created = Device.objects.update_or_create(
                organization=owner.organization,
                token_hash=recipient_hash(PUSH.code, token),
                # The name is cleared too: the new owner must not read what the former one called it.
                defaults={"name": "", **values, "user": owner, "token": token, "retired_at": None},
            )
            Device.objects.retire_surplus(owner)
        shown = self.get_serializer(device).data
        return Response(shown, status.HTTP_201_CREATED if created else status.HTTP_200_OK)


class DeviceDetailView(DeviceRows, generics.RetrieveUpdateDestroyAPIView[Device]):
    """One device of a person. A token that another device held moves here; a new token revives it."""

    http_method_names = ["get", "patch", "delete", "head", "options"]
    scopes: ClassVar = {"GET": Scope.USERS_READ, "PATCH": Scope.USERS_WRITE, "DELETE": Scope.USERS_WRITE}
    self_service = ("GET", "PATCH", "DELETE")
    serializer_class = DeviceSerializer
    lookup_url_kwarg = "device"

    @transaction.atomic
    def perform_update(self, serializer: Any) -> None:
        token = serializer.validated_data.get("token")
        if token is None:
            serializer.save()
            return
        device: Device = serializer.instance
        Device.objects.filter(
            organization=device.organization_id, token_hash=recipient_hash(PUSH.code, token)
        ).exclude(pk=device.pk).delete()
        serializer.save(retired_at=None)
