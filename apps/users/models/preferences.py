"""Categories of messages, and people's preferences by channel and category."""

from typing import ClassVar

import uuid6
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.users.models.organizations import Organization
from apps.users.models.people import User
from notifier.channels.registry import choices
from notifier.lib.database.tenancy import TenantManager
from notifier.lib.fields.validation import CATEGORY_PATTERN

ACCOUNT = "account"
"""The code of the category of the messages that Notifier itself sends about accounts."""


class CategoryManager(TenantManager["Category"]):
    def account(self, organization: Organization) -> "Category":
        """The organization's category for messages about accounts, made at its first use."""
        found: Category = self.get_or_create(
            organization=organization, code=ACCOUNT, defaults={"name": "Account", "mandatory": True}
        )[0]
        return found


class Category(models.Model):
    """What a message is about: people allow or refuse each kind, but for the mandatory ones."""

    HINT: ClassVar[str] = "Use up to 50 lower-case letters, digits, dots, dashes and underscores."
    CAP_BOUND: ClassVar[int] = 1000
    SHORTEST_WINDOW: ClassVar[int] = 60
    LONGEST_WINDOW: ClassVar[int] = 31 * 24 * 3600

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="categories")
    code = models.CharField(max_length=50, validators=[RegexValidator(CATEGORY_PATTERN, HINT)])
    name = models.CharField(max_length=200)
    mandatory = models.BooleanField(default=False, help_text="Nobody can opt out of it.")
    cap = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(CAP_BOUND)],
        help_text="At most so many messages to one address or device. Empty: no limit.",
    )
    cap_window = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(SHORTEST_WINDOW), MaxValueValidator(LONGEST_WINDOW)],
        help_text="In any so many seconds: 86400 are a day.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = CategoryManager()

    class Meta:
        ordering = ["code"]
        verbose_name_plural = "categories"
        constraints = [
            models.UniqueConstraint(fields=["organization", "code"], name="category_code_once"),
            models.CheckConstraint(
                condition=Q(cap=None, cap_window=None) | Q(cap__isnull=False, cap_window__isnull=False),
                name="category_cap_both_or_none",
                violation_error_code="cap",
                violation_error_message="A cap needs a number of messages and a window.",
            ),
            # If it could be refused or capped, a password reset would not reach its person.
            models.CheckConstraint(
                condition=~Q(code=ACCOUNT) | Q(mandatory=True, cap=None),
                name="category_account_mandatory",
                violation_error_code="reserved",
                violation_error_message="Nobody can opt out of what concerns their account, and it has no cap.",
            ),
        ]

    def __str__(self) -> str:
        return self.code


class PreferenceSource(models.TextChoices):
    """Where a preference was chosen."""

    API = "api", "API"
    ADMIN = "admin", "Admin"
    PAGE = "page", "Preference page"
    ONE_CLICK = "one_click", "One-click unsubscribe"


class NotificationPreference(models.Model):
    """Whether a person allows one channel, for one category or (null) for all that have no row of their own.

    No row means allowed.
    """

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="preferences")
    category = models.ForeignKey(
        Category, null=True, blank=True, on_delete=models.CASCADE, related_name="+",
        help_text="Empty: every category.",
    )  # fmt: skip
    channel = models.CharField(max_length=16, choices=choices)
    enabled = models.BooleanField(default=True)
    source = models.CharField(
        max_length=16, choices=PreferenceSource.choices, default=PreferenceSource.ADMIN, editable=False
    )
    updated_at = models.DateTimeField(auto_now=True)

    organization_path: ClassVar[str] = "user__organization"

    objects = TenantManager()

    class Meta:
        # Two constraints, because SQLite considers two nulls different values.
        constraints = [
            models.UniqueConstraint(
                fields=["user", "channel"], condition=Q(category=None), name="preference_once_a_channel"
            ),
            models.UniqueConstraint(
                fields=["user", "category", "channel"],
                condition=Q(category__isnull=False),
                name="preference_once_a_category",
            ),
        ]

    def __str__(self) -> str:
        try:
            about = f"{self.category} by " if self.category else ""
        except Category.DoesNotExist:
            # Both are being deleted, and the category was first.
            about = "a former category by "
        return f"{about}{self.channel}: {'on' if self.enabled else 'off'}"
