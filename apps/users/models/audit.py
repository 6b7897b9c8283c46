"""The audit log: an entry for every change by an operator, never changed and never deleted."""

from typing import Any

import uuid6
from django.db import models
from django.db.models.functions import Now

from apps.users.models.organizations import Organization
from notifier.lib.database.tenancy import TenantManager


class AuditEntry(models.Model):
    """One change of one row. `before`, `after`: the columns that changed, with secrets and addresses hidden."""

    class Action(models.TextChoices):
        CREATED = "created", "Created"
        CHANGED = "changed", "Changed"
        DELETED = "deleted", "Deleted"

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    # Empty for rows that belong to no organization.
    organization = models.ForeignKey(
        Organization, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    actor = models.CharField(max_length=64, help_text="user:<id>, key:<id>, or command:<name>.")
    action = models.CharField(max_length=16, choices=Action.choices)
    kind = models.CharField(max_length=64, help_text="The kind of row, such as users.apikey.")
    row_id = models.CharField(max_length=64)
    label = models.CharField(max_length=200, blank=True, help_text="What the row called itself then.")
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    at = models.DateTimeField(db_default=Now())

    objects = TenantManager()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["organization", "-id"], name="audit_newest"),
            models.Index(fields=["row_id", "kind", "-id"], name="audit_of_a_row"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.kind} {self.row_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("An audit entry can't be changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("An audit entry can't be deleted.")
