"""The endpoint of the audit log."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.users.access.permissions import OrganizationRows
from apps.users.models import AuditEntry
from apps.users.models.scopes import Scope
from notifier.lib.fields.filters import FilteredRows
from notifier.lib.fields.validation import CursorQuery, LineField, MomentField, OneOfField


class AuditEntrySerializer(serializers.ModelSerializer[AuditEntry]):
    class Meta:
        model = AuditEntry
        fields = ["id", "at", "actor", "action", "kind", "row_id", "label", "before", "after"]


class AuditFilterSerializer(CursorQuery):
    """The list's query parameters."""

    actor = LineField(required=False, max_length=64)
    action = OneOfField(choices=AuditEntry.Action.choices, required=False)
    kind = LineField(required=False, max_length=64)
    row_id = LineField(required=False, max_length=64)
    since = MomentField(required=False)
    until = MomentField(required=False)


class AuditListView(FilteredRows, OrganizationRows, generics.ListAPIView[AuditEntry]):
    """Who made, changed or deleted what, newest first. Secrets and addresses are hidden."""

    scopes: ClassVar = {"GET": Scope.AUDIT_READ}
    serializer_class = AuditEntrySerializer
    filter_class = AuditFilterSerializer
    grows = True

    def get_queryset(self) -> QuerySet[AuditEntry]:
        return self.visible(AuditEntry.objects.all())

    def narrowed(self, rows: QuerySet[Any], filters: Mapping[str, Any]) -> QuerySet[Any]:
        paths = {
            "actor": "actor",
            "action": "action",
            "kind": "kind",
            "row_id": "row_id",
            "since": "at__gte",
            "until": "at__lt",
        }
        return rows.filter(**{path: filters[name] for name, path in paths.items() if name in filters})

    @extend_schema(parameters=[AuditFilterSerializer])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.list(request, *args, **kwargs)
