"""Webhooks: an organization's endpoint, and each webhook event on its way to a URL."""

import base64
import secrets
from typing import Any

import uuid6
from django.db import models
from django.db.models import F
from django.db.models.functions import Now

from apps.notifications.models.deliveries import Notification
from apps.notifications.models.waiting import Waiting, WaitingQuerySet, from_now
from apps.users.audit_log import AuditedQuerySet
from apps.users.models import Organization
from notifier.lib.database.encryption import EncryptedTextField
from notifier.lib.database.tenancy import TenantManager
from notifier.lib.http.address_guard import URL_LIMIT

CALLBACKS = "callbacks"
"""The name of the callbacks' lane; a delivery's lane has its channel's name."""
EXCHANGE = "exchange:notifications.events"
"""In place of a callback's URL: the webhook event is published to the broker's topic exchange."""


def new_secret() -> str:
    """A new secret in the format of Standard Webhooks."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


class EndpointQuerySet(AuditedQuerySet["WebhookEndpoint"]):
    """Writes the audit log when an operator changes an endpoint."""


class WebhookEndpoint(models.Model):
    """An organization's URL for webhook events, and the secret that signs them, including those to other URLs.

    With an empty `url` only the secret is used. Secrets are encrypted, not hashed: signing needs them.
    """

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    organization = models.OneToOneField(Organization, on_delete=models.CASCADE, related_name="+")
    url = models.CharField(max_length=URL_LIMIT, blank=True)
    secret = EncryptedTextField(default=new_secret, editable=False)
    secret_shown = models.BooleanField(default=False, editable=False)
    former_secret = EncryptedTextField(blank=True, editable=False)
    former_until = models.DateTimeField(null=True, blank=True, help_text="Until when the former one signs.")
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=64, blank=True)
    failing_since = models.DateTimeField(
        null=True, blank=True, help_text="The first failure since anything was taken."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = TenantManager.from_queryset(EndpointQuerySet)()

    def __str__(self) -> str:
        return self.url or "(secret only)"

    def signing_secrets(self) -> list[str]:
        """The secrets that are valid now, by the database's clock."""
        former = type(self).objects.filter(pk=self.pk, former_until__gt=Now()).values_list("former_secret")
        return [self.secret, *(secret for (secret,) in former)]

    def rotate(self, *, overlap: int) -> None:
        """Create a new secret; the present one signs as well for `overlap` seconds."""
        changed: dict[str, Any] = {"former_secret": F("secret"), "former_until": from_now(overlap)}
        cleared: dict[str, Any] = {"former_secret": "", "former_until": None}
        type(self).objects.filter(pk=self.pk).update(
            secret=new_secret(), secret_shown=True, **(changed if overlap else cleared)
        )
        self.refresh_from_db()


class Callback(Waiting):
    """One webhook event for one URL. Its id is the receiver's `webhook-id`, the same for every attempt."""

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    notification = models.ForeignKey(
        Notification, null=True, blank=True, on_delete=models.CASCADE, related_name="callbacks"
    )
    url = models.CharField(
        max_length=URL_LIMIT, blank=True, help_text="Empty: wherever the organization's endpoint is then."
    )
    type = models.CharField(max_length=32)
    payload = models.JSONField(help_text="The body, as the receiver gets it.")
    attempts = models.PositiveSmallIntegerField(default=0)
    error_code = models.CharField(max_length=64, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(WaitingQuerySet)()

    class Meta(Waiting.Meta):
        ordering = ["-id"]
        indexes = [
            *Waiting.Meta.indexes,
            models.Index(fields=["organization", "-id"], name="callback_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class CallbackAttempt(models.Model):
    """One attempt to send a callback, with its result."""

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    callback = models.ForeignKey(Callback, on_delete=models.CASCADE, related_name="log")
    number = models.PositiveSmallIntegerField()
    url = models.CharField(max_length=URL_LIMIT)
    http_status = models.PositiveSmallIntegerField(null=True, blank=True)
    code = models.CharField(max_length=64, blank=True)
    detail = models.CharField(max_length=500, blank=True, help_text="The receiver's words, or the network's.")
    milliseconds = models.PositiveIntegerField(default=0)
    at = models.DateTimeField(db_default=Now())

    objects = TenantManager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["organization", "-id"], name="callback_attempt_newest")]

    def __str__(self) -> str:
        return f"{self.number}: {self.code or self.http_status}"
