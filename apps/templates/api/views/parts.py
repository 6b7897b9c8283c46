"""Endpoints of layouts and partials, and of the templates that use them."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response

from apps.templates.api.serializers.parts import LayoutSerializer, PartialSerializer, UseSerializer
from apps.templates.api.views.templates import READ_WRITE, content_errors_shown
from apps.templates.authoring import parts
from apps.templates.models import Layout, Partial
from apps.users.access import quotas
from apps.users.access.permissions import OrganizationRows, caller_of
from apps.users.models import Organization
from notifier.lib.fields.filters import FilteredRows
from notifier.lib.fields.validation import PageQuery


def check_quota(model: type[Layout | Partial], organization: Organization) -> None:
    mine = model.objects.filter(organization=organization)
    quotas.check("QUOTA_PARTS", organization.pk, mine, f"{model.__name__.lower()}s")


class PartRows(OrganizationRows):
    scopes: ClassVar = READ_WRITE
    model: ClassVar[type[Layout] | type[Partial]]
    lookup_field = "name"

    def get_queryset(self) -> QuerySet[Any]:
        return self.visible(self.model.objects.order_by("name"))

    def get_serializer_context(self) -> dict[str, Any]:
        return {"request": self.request, "caller": caller_of(self.request)}

    def perform_create(self, serializer: Any) -> None:
        organization = caller_of(self.request).organization
        check_quota(self.model, organization)
        with content_errors_shown():
            serializer.save(organization=organization)

    def perform_update(self, serializer: Any) -> None:
        with content_errors_shown():
            serializer.save()


class LayoutListView(PartRows, FilteredRows, generics.ListCreateAPIView[Layout]):
    """List the organization's layouts, or add one."""

    model = Layout
    serializer_class = LayoutSerializer


class LayoutDetailView(PartRows, generics.RetrieveUpdateDestroyAPIView[Layout]):
    """One layout. Existing versions keep the revision they were created with; new versions use the current one."""

    http_method_names = ["get", "patch", "delete", "head", "options"]
    model = Layout
    serializer_class = LayoutSerializer


class PartialListView(PartRows, FilteredRows, generics.ListCreateAPIView[Partial]):
    """List the organization's partials, or add one."""

    model = Partial
    serializer_class = PartialSerializer


class PartialDetailView(PartRows, generics.RetrieveUpdateDestroyAPIView[Partial]):
    """One partial. Existing versions keep the revision they were created with; new versions use the current one."""

    http_method_names = ["get", "patch", "delete", "head", "options"]
    model = Partial
    serializer_class = PartialSerializer


class UsesView(PartRows, generics.GenericAPIView[Any]):
    """The templates whose active version contains this part, and whether it has changed since."""

    parameters: ClassVar = {"GET": PageQuery}
    serializer_class = UseSerializer

    @extend_schema(responses=UseSerializer(many=True))
    def get(self, request: Request, name: str) -> Response:
        found: Any = list(parts.uses(get_object_or_404(self.get_queryset(), name=name)))
        page = self.paginate_queryset(found)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class LayoutUsesView(UsesView):
    model = Layout


class PartialUsesView(UsesView):
    model = Partial
