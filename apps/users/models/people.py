"""People: the users who get messages, and who may sign in."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import uuid6
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Lower, Now
from django.utils.crypto import salted_hmac

from apps.users.models import reach
from apps.users.models.organizations import Organization, Switchable, validate_language
from apps.users.models.quiet_hours import end_of_quiet_hours
from apps.users.models.scopes import HOST_SCOPES, ROLE_SCOPES, Role
from apps.users.recipient_hashes import recipient_hash
from notifier.channels.registry import CHANNELS
from notifier.lib.database.tenancy import TenantManager
from notifier.lib.email_addresses import ADDRESS_LIMIT, tidied
from notifier.lib.fields.email_address import AddressColumn
from notifier.lib.fields.phone_number import PhoneColumn
from notifier.lib.fields.validation import validate_timezone
from notifier.lib.phone_numbers import SPELLED_LIMIT

if TYPE_CHECKING:
    from apps.users.models import ApiKey


# Makes `email__lower` and `phone__lower` look-ups.
models.CharField.register_lookup(Lower)


class UserManager(TenantManager["User"], BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        fields.setdefault("organization", None)
        fields["organization"] = fields["organization"] or Organization.objects.default()
        user = self.model(email=email, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(
            email, password, **{"is_staff": True, "is_superuser": True, "role": Role.ADMIN, **fields}
        )


class User(Switchable, AbstractBaseUser, PermissionsMixin):
    """A person: a recipient, and, with a password and a role, an account that may sign in."""

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    # Its look-ups have indexes of their own, below.
    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="users", db_index=False
    )
    email = AddressColumn(max_length=ADDRESS_LIMIT)
    phone = PhoneColumn(
        max_length=SPELLED_LIMIT, blank=True, default="", db_default="", help_text="For texts: +14155550123."
    )
    name = models.CharField(max_length=200, blank=True)
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.MEMBER)
    language = models.CharField(
        max_length=35, blank=True, validators=[validate_language], help_text="Empty: the organization's."
    )
    timezone = models.CharField(max_length=64, default="UTC", validators=[validate_timezone])
    quiet_from = models.TimeField(null=True, blank=True, help_text="By the clock of their time zone.")
    quiet_until = models.TimeField(null=True, blank=True, help_text="Messages wait until then.")
    is_staff = models.BooleanField(default=False, help_text="May open the admin site.")
    erased_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="What told who they were is gone."
    )
    deleted_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="The tick deletes the row, once nothing names it."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint("organization", Lower("email"), name="user_email_once_an_organization"),
            models.CheckConstraint(
                condition=Q(quiet_from=None, quiet_until=None)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False) & ~Q(quiet_from=F("quiet_until")),
                name="user_quiet_hours_both_or_none",
                violation_error_code="quiet_hours",
                violation_error_message="Quiet hours need a beginning and another time as their end.",
            ),
        ]
        indexes = [
            models.Index(Lower("email"), name="user_by_email"),
            models.Index(Lower("phone"), name="user_by_phone", condition=~Q(phone="")),
            # The list and its count.
            models.Index(fields=["organization", "id"], condition=Q(erased_at=None), name="user_listed"),
            # The scheduler looks every second.
            models.Index(fields=["deleted_at"], condition=Q(deleted_at__isnull=False), name="user_leaving"),
        ]

    def __str__(self) -> str:
        return self.email

    @staticmethod
    def at(address: str) -> Q:
        """A filter for people with this address, in any spelling. It uses the expression of the indexes, unlike
        `iexact`."""
        # The database folds both sides: where it and Python disagree about a letter, its unique constraint decides.
        return Q(email__lower=Lower(Value(tidied(address))))

    @staticmethod
    def reached_at(channel: str, recipient: str) -> Q:
        """A filter for people who have this address of the channel, or a device with this token."""
        address = CHANNELS[channel].address
        if address.of_device:
            return Q(devices__token_hash=recipient_hash(channel, recipient))
        forms = [Lower(Value(form)) for form in address.folded(recipient)]
        return Q(**{f"{address.person_column}__lower__in": forms}) & ~Q(**{address.person_column: ""})

    def end_of_quiet_hours(self, now: datetime) -> datetime | None:
        """When (UTC) the person's quiet hours end; None where they are not in them at `now`."""
        if self.quiet_from is None or self.quiet_until is None:
            return None
        try:
            zone = ZoneInfo(self.timezone)
        except ZoneInfoNotFoundError:
            # The zone was validated on a host with a newer time zone database.
            zone = ZoneInfo("UTC")
        return end_of_quiet_hours(now, zone, self.quiet_from, self.quiet_until)

    @property
    def epoch(self) -> str:
        """Changes when the account, or its organization, is deactivated: sessions of an earlier epoch are invalid."""
        return f"{self.organization.session_epoch}.{self.session_epoch}"

    def get_session_auth_hash(self) -> str:
        # Sessions of the admin end with the password, as in Django, and when the account is deactivated.
        return salted_hmac(
            f"{__name__}.session", f"{self.password}.{self.epoch}", algorithm="sha256"
        ).hexdigest()

    def reaches(self, other: "User | ApiKey") -> bool:
        return reach.of_person(self, other)

    @property
    def scopes(self) -> frozenset[str]:
        return ROLE_SCOPES[self.role] | (HOST_SCOPES if self.is_superuser else frozenset())
