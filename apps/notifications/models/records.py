"""Timelines, dead letters, suppressions, providers' circuit breakers, stored answers and the scheduler's lease."""

from typing import ClassVar, Self

import uuid6
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.notifications.models.deliveries import Notification
from apps.users.audit_log import AuditedQuerySet
from apps.users.models import Organization
from notifier.channels.registry import CHANNELS, choices
from notifier.lib.database.tenancy import TenantManager


class Event(models.Model):
    """One timeline entry: a decision or an attempt. Only erasing a person changes it."""

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    notification = models.ForeignKey(
        Notification, on_delete=models.CASCADE, related_name="events", db_index=False
    )
    delivery_id = models.UUIDField(null=True, blank=True)
    channel = models.CharField(max_length=16, choices=choices, blank=True)
    kind = models.CharField(max_length=32)
    at = models.DateTimeField(db_default=Now())
    data = models.JSONField(default=dict)

    organization_path: ClassVar[str] = "notification__organization"

    objects = TenantManager()

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["notification", "id"], name="event_timeline")]

    def __str__(self) -> str:
        return self.kind


class DeadLetterQuerySet(AuditedQuerySet["DeadLetter"]):
    """Writes the audit log when an operator closes a dead letter."""


class DeadLetter(models.Model):
    """A failed delivery, or a queue message that could not be read, which waits for an operator.

    Open until it is replayed or discarded.
    """

    class State(models.TextChoices):
        OPEN = "open", "Open"
        REPLAYED = "replayed", "Replayed"
        DISCARDED = "discarded", "Discarded"

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    organization = models.ForeignKey(
        # The indexes below serve its look-ups.
        Organization,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    notification = models.ForeignKey(
        Notification, null=True, blank=True, on_delete=models.CASCADE, related_name="dead_letters"
    )
    delivery_id = models.UUIDField(null=True, blank=True)
    channel = models.CharField(max_length=16, choices=choices, blank=True)
    epoch = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(max_length=16, choices=State.choices, default=State.OPEN)
    reason = models.CharField(max_length=64, help_text="The class of the failure.")
    code = models.CharField(max_length=64, blank=True)
    detail = models.CharField(max_length=500, blank=True, help_text="The provider's words.")
    queue = models.CharField(max_length=64, blank=True, help_text="Where a foreign message came from.")
    body = models.BinaryField(blank=True, default=b"", help_text="A foreign message's first bytes.")
    body_hash = models.CharField(max_length=64, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = TenantManager.from_queryset(DeadLetterQuerySet)()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["delivery_id", "epoch", "reason"],
                condition=Q(delivery_id__isnull=False),
                name="dead_letter_once_a_failure",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(state="open"), name="dead_letter_open"),
            models.Index(fields=["organization", "-id"], name="dead_letter_newest"),
            models.Index(fields=["body_hash"], name="dead_letter_body"),
        ]

    def __str__(self) -> str:
        return f"{self.reason} {self.channel}"


class SuppressionQuerySet(AuditedQuerySet["Suppression"]):
    def active(self) -> Self:
        return self.filter(lifted_at=None)

    def lift(self, *, by: str, reason: str) -> int:
        """Allow sending to these addresses again. Returns how many were suppressed."""
        return self.active().update(lifted_at=Now(), lifted_by=by, lift_reason=reason)


class Suppression(models.Model):
    """An address or device that nothing is sent to: it is dead, or a person or operator asked for it."""

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    channel = models.CharField(max_length=16, choices=choices)
    recipient_hash = models.CharField(max_length=64)
    recipient = models.CharField(max_length=254, blank=True, help_text="Empty once a person is erased.")
    reason = models.CharField(max_length=64)
    detail = models.CharField(max_length=500, blank=True)
    created_by = models.CharField(max_length=64, blank=True, help_text="Empty: a delivery's end.")
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.CharField(max_length=64, blank=True)
    lift_reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = TenantManager.from_queryset(SuppressionQuerySet)()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "channel", "recipient_hash"],
                condition=Q(lifted_at=None),
                name="suppression_once",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-id"], name="suppression_newest"),
            models.Index(fields=["recipient_hash"], name="suppression_recipient"),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.reason}"

    @property
    def masked_recipient(self) -> str:
        return CHANNELS[self.channel].address.masked(self.recipient)


class ProviderState(models.Model):
    """A provider account's circuit breaker. Open until `open_until`: nothing is sent; past that, one probe decides.

    Closed where `open_until` is empty, as it is for an account without a row.
    """

    name = models.CharField(primary_key=True, max_length=64)
    open_until = models.DateTimeField(null=True, blank=True)
    probe_until = models.DateTimeField(null=True, blank=True, help_text="A probe is on its way until then.")
    opens = models.PositiveIntegerField(default=0, help_text="Openings since it was last closed.")
    code = models.CharField(max_length=64, blank=True)
    detail = models.CharField(max_length=500, blank=True)

    def __str__(self) -> str:
        return self.name


class CircuitChange(models.Model):
    """One opening or closing of a provider account's circuit breaker; never changed."""

    class Kind(models.TextChoices):
        OPENED = "opened", "Opened"
        CLOSED = "closed", "Closed"

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    provider = models.CharField(max_length=64)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    code = models.CharField(max_length=64, blank=True)
    detail = models.CharField(max_length=500, blank=True)
    seconds = models.PositiveIntegerField(null=True, blank=True, help_text="How long it opens for.")
    by = models.CharField(max_length=64, blank=True, help_text="The operator, where it was one.")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["provider", "-id"], name="circuit_newest")]

    def __str__(self) -> str:
        return f"{self.provider} {self.kind}"


class IdempotencyRecord(models.Model):
    """The first answer to an idempotency key, kept for at least 24 hours."""

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    caller = models.CharField(max_length=64)
    path = models.CharField(max_length=200)
    key = models.CharField(max_length=255)
    body_hash = models.CharField(max_length=64)
    status_code = models.PositiveSmallIntegerField()
    answer = models.JSONField()
    location = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = TenantManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "caller", "path", "key"], name="idempotency_key_once"
            ),
        ]
        indexes = [models.Index(fields=["created_at"], name="idempotency_age")]

    def __str__(self) -> str:
        return self.key


class TickLease(models.Model):
    """The scheduler's lease: which process works; a second one waits until it lapses."""

    name = models.CharField(primary_key=True, max_length=32)
    holder = models.CharField(max_length=128)
    lease_until = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
