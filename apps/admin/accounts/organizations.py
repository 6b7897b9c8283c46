"""Organizations: created and deactivated by superusers only."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from apps.admin.lists.rows import OrganizationRows, operator_of
from apps.users.models import Organization


@admin.register(Organization)
class OrganizationPages(OrganizationRows):
    organization_path = "pk"
    list_display = ("name", "slug", "default_language", "is_active", "created_at")
    list_filter = ("is_active",)
    search_fields = ("name", "slug")
    fields = ("name", "slug", "default_language", "is_active", "created_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return operator_of(request).is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        # Every other row belongs to an organization: it is deactivated, not deleted.
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[Any]:
        operator = operator_of(request)
        if not operator.is_superuser:
            return ["created_at", "slug", "is_active"]
        # Members of an inactive organization can't sign in: deactivating their own would lock the operator out.
        return ["created_at", "is_active"] if obj and obj.pk == operator.organization_id else ["created_at"]
