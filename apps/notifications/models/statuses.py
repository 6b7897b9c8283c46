"""The statuses of a delivery; `transitions.status_changes` says which may follow which."""

from django.db import models


class Status(models.TextChoices):
    QUEUED = "queued", "Queued"
    SENDING = "sending", "Sending"
    SENT = "sent", "Sent"
    DELIVERED = "delivered", "Delivered"
    BOUNCED = "bounced", "Bounced"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    EXPIRED = "expired", "Expired"
    SKIPPED = "skipped", "Skipped"
    UNKNOWN = "unknown", "Unknown"


SCHEDULED = "scheduled"
"""Shown, never stored: a queued row that is due later and was never attempted."""

WENT_OUT = (Status.SENT, Status.DELIVERED, Status.BOUNCED, Status.UNKNOWN)
"""A provider accepted it, or may have: sending it again could reach the person twice."""

PRECEDENCE = (
    Status.SENDING,
    Status.QUEUED,
    Status.UNKNOWN,
    Status.FAILED,
    Status.BOUNCED,
    Status.SENT,
    Status.DELIVERED,
    Status.EXPIRED,
    Status.CANCELLED,
    Status.SKIPPED,
)
"""A notification shows the first of these that one of its deliveries has."""
