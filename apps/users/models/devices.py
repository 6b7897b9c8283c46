"""Devices: where a person's push messages go."""

from typing import Any

import uuid6
from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from apps.users.models.organizations import Organization
from apps.users.models.people import User
from apps.users.recipient_hashes import recipient_hash
from notifier.channels.push import PUSH
from notifier.lib.database.encryption import EncryptedTextField
from notifier.lib.database.tenancy import TenantManager


class DeviceQuerySet(models.QuerySet["Device"]):
    def active(self) -> "DeviceQuerySet":
        return self.filter(retired_at=None)

    def retire(self, *, token_hash: str) -> int:
        """Retire the devices that still have this token; a device that got a new one meanwhile stays active."""
        return self.active().filter(token_hash=token_hash).update(retired_at=Now())

    def retire_surplus(self, person: User) -> int:
        """Retire all but the DEVICES_A_PERSON devices of the person that were registered last; returns how many were
        retired. Keeps as many retired ones: otherwise one person could use up their organization's quota."""
        most = settings.DEVICES_A_PERSON
        mine = self.filter(user=person)
        newest = mine.active().order_by("-updated_at", "-id").values_list("pk", flat=True)[:most]
        retired = mine.active().exclude(pk__in=list(newest)).update(retired_at=Now())
        gone = mine.exclude(retired_at=None)
        latest = gone.order_by("-retired_at", "-id").values_list("pk", flat=True)[:most]
        gone.exclude(pk__in=list(latest)).delete()
        return retired


class Platform(models.TextChoices):
    ANDROID = "android", "Android"
    IOS = "ios", "iOS"
    WEB = "web", "Web"


class Device(models.Model):
    """One installation of an app that can receive push. Its token is found by hash."""

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    # Copied from the owner, so that a token is unique in an organization and no organization can take another's.
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="devices")
    token = EncryptedTextField()
    token_hash = models.CharField(max_length=64, editable=False)
    platform = models.CharField(max_length=16, choices=Platform.choices)
    name = models.CharField(max_length=100, blank=True)
    retired_at = models.DateTimeField(
        null=True, blank=True, help_text="Set when the provider disowned the token."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = TenantManager.from_queryset(DeviceQuerySet)()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "token_hash"], name="device_token_once"),
        ]

    def __str__(self) -> str:
        return self.name or self.platform

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.token_hash = recipient_hash(PUSH.code, self.token)
        self.organization_id = self.user.organization_id
        super().save(*args, **kwargs)
