"""Notifications, and what their deliveries have in common; each channel's log is in its folder of `channels`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

import uuid6
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.notifications.models.statuses import PRECEDENCE, SCHEDULED, Status
from apps.notifications.models.waiting import LEASE_INDEX, Waiting, WaitingQuerySet
from apps.templates.models import TemplateVersion
from apps.users.models import Organization, User
from notifier.channels.registry import CHANNELS
from notifier.lib.database.encryption import EncryptedJSONField
from notifier.lib.database.tenancy import TenantManager

BULK_BELOW = 5
"""Priorities under this take the bulk lane."""

SELDOM = (Status.UNKNOWN, Status.FAILED, Status.BOUNCED, Status.EXPIRED, Status.CANCELLED)
"""Final statuses that few deliveries have, and that operators search for."""


class Notification(models.Model):
    """One accepted request to send one message to one person."""

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    # The indexes below serve its look-ups; the same holds for a delivery's organization.
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    request_id = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001 - null is "none given"
    body_hash = models.CharField(max_length=64)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="notifications",
    )
    template_version = models.ForeignKey(TemplateVersion, on_delete=models.PROTECT, related_name="+")
    variables = EncryptedJSONField(default=dict)
    metadata = models.JSONField(default=dict)
    priority = models.PositiveSmallIntegerField(default=5)
    live = models.BooleanField(default=True)
    for_user = models.BooleanField(
        default=False,
        help_text="To a user, who may have been deleted since.",
    )
    scheduled_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    correlation_id = models.CharField(max_length=128)
    requested_by = models.CharField(max_length=64)
    callback_url = models.CharField(max_length=2000, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = TenantManager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            # A test key's request must not block a live one with the same request_id.
            models.UniqueConstraint(fields=["organization", "live", "request_id"], name="request_id_once"),
        ]
        indexes = [
            models.Index(fields=["organization", "-id"], name="notification_newest"),
            models.Index(fields=["organization", "correlation_id"], name="notification_correlation"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class DeliveryQuerySet(WaitingQuerySet):
    def shown(self) -> Self:
        """Annotates `due_later`, which `shown_status` needs for scheduled rows."""
        return self.annotate(due_later=Q(due_at__gt=Now()))

    def complete(self) -> "list[Any]":
        """The rows with their organizations, versions and people: one instance each, whoever shares it, and
        `db_now`."""
        rows: list[Any] = list(self.select_related("notification").annotate(db_now=Now()))
        organizations = Organization.objects.in_bulk({row.organization_id for row in rows})
        versions = TemplateVersion.objects.select_related(
            "template__category", "template__fallback_version"
        ).in_bulk({row.notification.template_version_id for row in rows})
        ids = {row.notification.user_id for row in rows} - {None}
        people = User.objects.in_bulk(ids) if ids else {}
        for row in rows:
            notification = row.notification
            row.organization = notification.organization = organizations[row.organization_id]
            notification.template_version = versions[notification.template_version_id]
            if notification.user_id is not None:
                # One that was deleted since the row was read is none.
                notification.user = people.get(notification.user_id)
        return rows


class Delivery(Waiting):
    """One notification to one address or device of a channel."""

    channel: ClassVar[str]
    """Its channel's code."""
    RECIPIENT: ClassVar[str]
    """The name of the column with the plain address or token."""
    ERASED: ClassVar[Mapping[str, Any]]
    """What the columns that tell who the recipient is become once the person is erased."""
    due_later: bool = False
    """Annotated by `shown`, since only the database's clock counts."""

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    notification = models.ForeignKey(Notification, on_delete=models.CASCADE)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    reason = models.CharField(max_length=64, blank=True, help_text="Why it was skipped, expired or failed.")
    recipient_hash = models.CharField(max_length=64, blank=True, editable=False)
    language = models.CharField(max_length=35, blank=True)
    priority = models.PositiveSmallIntegerField(default=5)

    deadline_at = models.DateTimeField(help_text="No attempt begins after this.")
    epoch = models.PositiveSmallIntegerField(default=0, help_text="Grows with every replay.")

    attempts = models.PositiveSmallIntegerField(default=0)
    resends = models.PositiveSmallIntegerField(default=0, help_text="Automatic sends after an unknown end.")
    provider = models.CharField(max_length=64, blank=True)
    provider_message_id = models.CharField(max_length=255, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(DeliveryQuerySet)()

    class Meta(Waiting.Meta):
        abstract = True
        ordering = ["-id"]
        indexes = [
            # One index for each lane: a flood of bulk mail must not delay finding the urgent rows.
            models.Index(
                fields=["due_at"],
                condition=Q(status=Status.QUEUED, priority__gte=BULK_BELOW),
                name="%(class)s_due_urgent",
            ),
            models.Index(
                # Bulk rows are claimed from each organization in rotation.
                fields=["organization", "due_at"],
                condition=Q(status=Status.QUEUED, priority__lt=BULK_BELOW),
                name="%(class)s_due_bulk",
            ),
            # Rows without a wake-up in a queue, which the scheduler finds however many others wait.
            models.Index(
                fields=["published_at", "due_at"], condition=Q(status=Status.QUEUED), name="%(class)s_unwoken"
            ),
            LEASE_INDEX,
            models.Index(fields=["organization", "-id"], name="%(class)s_newest"),
            # A successful delivery never has these statuses, so the index costs it nothing.
            models.Index(
                fields=["organization", "status", "notification"],
                condition=Q(status__in=SELDOM),
                name="%(class)s_seldom",
            ),
            # Later tracking events name the provider's own id.
            models.Index(
                fields=["provider_message_id"],
                condition=~Q(provider_message_id=""),
                name="%(class)s_told",
            ),
            # A recipient's rows, and how many of them were sent recently or wait (a category's cap).
            models.Index(fields=["recipient_hash", "status", "sent_at"], name="%(class)s_recipient"),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.id}"

    @classmethod
    def retried_for(cls) -> float:
        """How many seconds after its first due time a delivery is tried at most, by the settings."""
        return float(settings.RETRY_POLICIES[cls.channel].deadline)

    @property
    def recipient(self) -> str:
        return str(getattr(self, self.RECIPIENT))

    @property
    def masked_recipient(self) -> str:
        return CHANNELS[self.channel].address.masked(self.recipient)

    @property
    def shown_status(self) -> str:
        never_tried = self.status == Status.QUEUED and self.attempts == 0 and not self.error_code
        return SCHEDULED if never_tried and self.due_later else self.status


@dataclass(slots=True, eq=False)
class ClaimedDelivery:
    """A claimed delivery with the columns that rendering and sending need, and no others.

    It costs a tenth of a model instance, for each of a hundred rows in a batch. Everything but a send works on the
    instance. `waited`: seconds from acceptance, or the scheduled time, to the claim. `announced`: it has a
    `callback_url`.

    The fields are in the order of the columns that a claim returns; `expires_at` is not among them.
    """

    model: type[Delivery]
    pk: Any
    notification_id: Any
    organization_id: Any
    fence: int
    attempts: int
    priority: int
    epoch: int
    language: str
    recipient: str
    variables: dict[str, Any]
    version_id: Any
    user_id: Any
    category_id: Any
    mandatory: bool
    live: bool
    correlation_id: str
    default_language: str
    waited: float
    announced: bool
    category_code: str
    organization_slug: str
    expires_at: datetime | None = None
    """Set only for rows that the eligibility check reads one by one; the others have none."""

    @property
    def channel(self) -> str:
        return self.model.channel

    @classmethod
    def of(cls, row: Delivery) -> Self:
        """From an instance that has its relations loaded and `db_now` annotated."""
        notification = row.notification
        category = notification.template_version.template.category
        wanted_at = notification.scheduled_at or notification.created_at
        return cls(
            model=type(row),
            pk=row.pk,
            notification_id=row.notification_id,
            organization_id=row.organization_id,
            fence=row.fence,
            attempts=row.attempts,
            priority=row.priority,
            epoch=row.epoch,
            language=row.language,
            recipient=row.recipient,
            variables=notification.variables,
            version_id=notification.template_version_id,
            user_id=notification.user_id,
            category_id=category.pk if category else None,
            mandatory=category is not None and category.mandatory,
            live=notification.live,
            correlation_id=notification.correlation_id,
            default_language=row.organization.default_language,
            waited=(row.db_now - wanted_at).total_seconds(),  # type: ignore[attr-defined]
            announced=bool(notification.callback_url),
            category_code=category.code if category else "",
            organization_slug=row.organization.slug,
            expires_at=notification.expires_at,
        )


def summary(statuses: Iterable[str]) -> str:
    """A notification's status from the shown statuses of its deliveries; skipped if there are none."""
    found = set(statuses)
    for status in PRECEDENCE:
        if status in found:
            return status.value
        if status is Status.QUEUED and SCHEDULED in found:
            return SCHEDULED
    return Status.SKIPPED.value
