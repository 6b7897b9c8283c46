"""Endpoints of categories: the kinds of messages that people allow or refuse."""

from typing import Any, ClassVar

from django.db.models import ProtectedError, QuerySet
from rest_framework import generics, status
from rest_framework.exceptions import APIException

from apps.users.access import quotas
from apps.users.access.permissions import OrganizationRows, caller_of
from apps.users.api.serializers.preferences import CategorySerializer
from apps.users.models import Category, Organization
from apps.users.models.scopes import Scope
from notifier.lib.fields.filters import FilteredRows


class CategoryInUse(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "category_in_use"
    default_detail = "Templates are in this category; move them to another first."


class CategoryRows(OrganizationRows):
    scopes: ClassVar = {
        "GET": Scope.TEMPLATES_READ,
        "POST": Scope.TEMPLATES_WRITE,
        "PATCH": Scope.TEMPLATES_WRITE,
        "DELETE": Scope.TEMPLATES_WRITE,
    }

    def get_queryset(self) -> QuerySet[Category]:
        return self.visible(Category.objects.order_by("code"))

    def get_serializer_context(self) -> dict[str, Any]:
        return {"request": self.request, "caller": caller_of(self.request)}


class CategoryListView(CategoryRows, FilteredRows, generics.ListCreateAPIView[Category]):
    """List the organization's categories, or add one."""

    serializer_class = CategorySerializer

    def perform_create(self, serializer: Any) -> None:
        organization = caller_of(self.request).organization
        check_quota(organization)
        serializer.save(organization=organization)


class CategoryDetailView(CategoryRows, generics.RetrieveUpdateDestroyAPIView[Category]):
    """One category. Deleting it also deletes people's choices about it; while templates are in it, it is a 409."""

    http_method_names = ["get", "patch", "delete", "head", "options"]
    serializer_class = CategorySerializer
    lookup_field = "code"
    lookup_url_kwarg = "category"

    def perform_destroy(self, instance: Category) -> None:
        try:
            instance.delete()
        except ProtectedError as error:
            raise CategoryInUse from error


def check_quota(organization: Organization) -> None:
    # Every view of a person's preferences, which needs no sign-in, reads and shows all categories.
    mine = Category.objects.filter(organization=organization)
    quotas.check("QUOTA_CATEGORIES", organization.pk, mine, "categories")
