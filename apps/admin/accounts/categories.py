"""Notification categories, each with its frequency cap."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from apps.admin.lists.rows import OrganizationRows, RowForm
from apps.templates.models import Template
from apps.users.api.views.categories import check_quota
from apps.users.models import Category, Organization


class CategoryForm(RowForm):
    constrained = frozenset({"organization", "code"})

    def check_quota(self, organization: Organization) -> None:
        check_quota(organization)


@admin.register(Category)
class CategoryPages(OrganizationRows):
    form = CategoryForm
    list_display = ("code", "name", "organization", "mandatory", "cap", "cap_window", "updated_at")
    list_filter = ("organization", "mandatory")
    list_select_related = ("organization",)
    search_fields = ("code", "name")

    def get_fields(self, request: HttpRequest, obj: Any | None = None) -> list[Any]:
        editable = ["organization", "code", "name", "mandatory", "cap", "cap_window"]
        return [*editable, "created_at", "updated_at"] if obj else editable

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        shown, counts, lacking, protected = super().get_deleted_objects(objs, request)
        # No operator may delete templates, and they are protected from the cascade anyway: report them as
        # protected, not as a missing permission.
        return shown, counts, lacking - {Template._meta.verbose_name}, protected

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[Any]:
        # API callers refer to a category by its code.
        return ["organization", "code", "created_at", "updated_at"] if obj else []
