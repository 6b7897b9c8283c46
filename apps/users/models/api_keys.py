"""API keys: the credentials of services."""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from typing import Any, ClassVar

import uuid6
from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import DateTimeField, ExpressionWrapper, Q
from django.db.models.functions import Now
from django.utils import timezone

from apps.users.audit_log import AuditedQuerySet
from apps.users.models import reach
from apps.users.models.organizations import Organization
from apps.users.models.people import User
from apps.users.models.scopes import Scope
from notifier.lib.database.tenancy import TenantManager


class ApiKeyQuerySet(AuditedQuerySet["ApiKey"]):
    def alive(self) -> "ApiKeyQuerySet":
        """Keys that are neither revoked nor expired, by the database's clock."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None)

    def issue(self, *, organization: Organization, name: str, **fields: Any) -> tuple["ApiKey", str]:
        """A new key and its plain form, `<prefix>.<secret>`, which can't be shown again: the secret isn't stored."""
        fields.setdefault("expires_at", default_expiry())
        mode = "live" if fields.get("live", True) else "test"
        prefix = f"nk_{mode}_{secrets.token_hex(6)}"
        secret = secrets.token_urlsafe(32)
        key = self.create(
            organization=organization, name=name, prefix=prefix, key_hash=ApiKey.hash(secret), **fields
        )
        return key, f"{prefix}.{secret}"


def default_scopes() -> list[str]:
    """What a service that only sends needs."""
    return [Scope.NOTIFICATIONS_WRITE.value, Scope.NOTIFICATIONS_READ.value]


def default_expiry() -> datetime:
    return timezone.now() + timedelta(days=settings.KEY_LIFETIME_DAYS)


class ApiKey(models.Model):
    """A service's credential. A test key never reaches a real provider."""

    LAST_USED_EVERY: ClassVar[timedelta] = timedelta(minutes=1)
    """The granularity of `last_used_at`: a write for every request would be the most frequent write of all."""
    RATE_LIMIT_BOUND: ClassVar[int] = 1_000_000
    ADDRESSES_LIMIT: ClassVar[int] = 50

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=32, unique=True, editable=False)
    key_hash = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=default_scopes)
    live = models.BooleanField(default=True, help_text="Off: a test key, whose messages go to the sandbox.")
    rate_limit = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(RATE_LIMIT_BOUND)],
        help_text="Requests a minute. Empty: what holds for all keys.",
    )
    addresses = models.JSONField(
        default=list,
        blank=True,
        help_text="Networks whose callers may show it, as 203.0.113.0/24. Empty: everywhere.",
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = TenantManager.from_queryset(ApiKeyQuerySet)()

    class Meta:
        verbose_name = "API key"
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"

    @property
    def is_authenticated(self) -> bool:
        return True

    @staticmethod
    def hash(secret: str) -> str:
        # 256 random bits need no slow hash: they can't be guessed.
        return hashlib.sha256(secret.encode()).hexdigest()

    def reaches(self, other: "User | ApiKey") -> bool:
        return reach.of_key(self, other)

    def matches(self, secret: str) -> bool:
        return hmac.compare_digest(self.key_hash, self.hash(secret))

    def rotate(self, *, overlap: int, by: User | None) -> tuple["ApiKey", str]:
        """A key like this one and its plain form. This one works for `overlap` more seconds, if it does not expire
        earlier."""
        made = type(self).objects.issue(
            organization=self.organization,
            name=self.name,
            scopes=self.scopes,
            live=self.live,
            rate_limit=self.rate_limit,
            addresses=self.addresses,
            # The same lifetime as this key has, from now on.
            expires_at=self.expires_at and timezone.now() + (self.expires_at - self.created_at),
            created_by=by,
        )
        rows = type(self).objects.filter(pk=self.pk)
        if not overlap:
            rows.update(revoked_at=Now())
            return made
        ends = ExpressionWrapper(Now() + timedelta(seconds=overlap), DateTimeField())
        rows.filter(Q(expires_at=None) | Q(expires_at__gt=ends)).update(expires_at=ends)
        return made
