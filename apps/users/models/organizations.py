"""The tenant that every other row belongs to."""

from typing import Any, ClassVar

import uuid6
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now

from apps.users.validation import LANGUAGE_PATTERN

validate_language = RegexValidator(LANGUAGE_PATTERN, "Use a language tag such as `fr` or `fr-CA`.")


class OrganizationManager(models.Manager["Organization"]):
    def default(self) -> "Organization":
        """The organization that people belong to who were created without naming one."""
        return self.get_or_create(slug="default", defaults={"name": "Default"})[0]


class Organization(models.Model):
    """A tenant: every other row belongs to exactly one."""

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=63, unique=True)
    default_language = models.CharField(max_length=35, default="en", validators=[validate_language])
    is_active = models.BooleanField(default=True)
    session_epoch = models.PositiveIntegerField(
        default=0,
        editable=False,
        help_text="Grows when it is switched off: its people's earlier tokens stay dead.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects: ClassVar[OrganizationManager] = OrganizationManager()

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding and not self.is_active:
            end_sessions_of(self)
        super().save(*args, **kwargs)


def end_sessions_of(row: Any) -> None:
    """Of a person or an organization that is about to be stored as switched off, if it was on until now."""
    if type(row)._base_manager.filter(pk=row.pk, is_active=True).exists():
        row.session_epoch += 1
