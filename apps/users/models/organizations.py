"""Organizations: the tenants that every other row belongs to."""

from typing import Any, ClassVar

import uuid6
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now

from notifier.lib.fields.validation import LANGUAGE_PATTERN

validate_language = RegexValidator(LANGUAGE_PATTERN, "Use a language tag such as `fr` or `fr-CA`.")


class OrganizationManager(models.Manager["Organization"]):
    def default(self) -> "Organization":
        """The organization of people who are created without one, made at its first use."""
        return self.get_or_create(slug="default", defaults={"name": "Default"})[0]


class Switchable(models.Model):
    """A row that can be deactivated; tokens from before then stay invalid when it is active again."""

    is_active = models.BooleanField(default=True)
    session_epoch = models.PositiveIntegerField(
        default=0, editable=False, help_text="Grows when it is switched off: earlier tokens stay dead."
    )

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        names = kwargs.get("update_fields")
        stored = not self._state.adding and (names is None or "is_active" in names)
        # Read from the row: this object may be older than the last change.
        was = type(self)._base_manager.filter(pk=self.pk, is_active=True)
        if stored and not self.is_active and was.exists():
            self.session_epoch += 1
            kwargs["update_fields"] = None if names is None else [*names, "session_epoch"]
        super().save(*args, **kwargs)


class Organization(Switchable):
    """A tenant: every other row belongs to exactly one."""

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=63, unique=True)
    default_language = models.CharField(max_length=35, default="en", validators=[validate_language])
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects: ClassVar[OrganizationManager] = OrganizationManager()

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name
