"""The audit log, read-only."""

from django.contrib import admin

from apps.admin.lists.rows import Log
from apps.users.models import AuditEntry


@admin.register(AuditEntry)
class AuditPages(Log):
    list_display = ("at", "actor", "action", "kind", "label", "row_id", "organization")
    list_filter = ("action",)
    fields = ("at", "organization", "actor", "action", "kind", "row_id", "label", "before", "after")
    search_fields = ("actor__exact", "row_id__exact")
