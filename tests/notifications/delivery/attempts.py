"""Claims and attempts without a worker, made as a worker makes them."""

import time
from typing import Any

from apps.notifications.channels.outcome import Outcome
from apps.notifications.models import Delivery
from apps.notifications.models.deliveries import ClaimedDelivery
from apps.notifications.transitions.attempts import DeliveryAttempt
from apps.notifications.transitions.claims import BulkRoundRobin, ClaimedRows, claim_due, load
from apps.notifications.transitions.outcomes import record_attempts


def take(model: type[Delivery], ids: list[str], *, token: str, bulk: bool = False) -> ClaimedRows:
    return claim_due(model, ids, token=token, bulk=bulk, round_robin=BulkRoundRobin())


def claim(row: Any, token: str) -> Any:
    """The row as a sender has it, or None where that got none."""
    take(type(row), [str(row.pk)], token=token)
    rows, _ = load(type(row), [row.pk], token)
    return rows[0] if rows else None


def record_sent(row: Any, outcome: Outcome, *, provider: str = "smtp", ago: float = 0.0) -> bool:
    """Record that the claimed row's message was sent `ago` seconds ago; returns whether the row is `sent` then."""
    attempt = DeliveryAttempt(ClaimedDelivery.of(row)).ended(outcome, provider)
    attempt.ended_at = time.monotonic() - ago
    record_attempts([attempt])
    return type(row).objects.get(pk=row.pk).status == "sent"
