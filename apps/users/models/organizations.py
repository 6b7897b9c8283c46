"""The tenant that every other row belongs to."""

from typing import ClassVar

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
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects: ClassVar[OrganizationManager] = OrganizationManager()

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name
