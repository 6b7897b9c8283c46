"""Webhook events: a callback row for each status change that is announced, in the transaction of the change."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.notifications.models import BULK_BELOW, CALLBACKS, EXCHANGE, Callback, Delivery, WebhookEndpoint
from apps.notifications.models.statuses import Status
from apps.notifications.queue.broker import Wake, publisher
from apps.users.models import Organization

ANNOUNCED = frozenset(Status) - {Status.QUEUED, Status.SENDING}
TEST = "endpoint.test"


class StatusChange(NamedTuple):
    """A delivery's new status."""

    row: Delivery
    status: str
    reason: str = ""
    code: str = ""


def announce(changes: Sequence[StatusChange]) -> None:
    """Queue the callbacks of these status changes, all of one organization. Call inside their transaction."""
    if not changes:
        return
    organization = changes[0].row.organization_id
    endpoint = WebhookEndpoint.objects.filter(organization=organization, enabled=True).exclude(url="").first()
    made = []
    for change in changes:
        own = change.row.notification.callback_url
        urls = [
            *([""] if endpoint else []),
            *([own] if own and (not endpoint or own != endpoint.url) else []),
            *([EXCHANGE] if settings.EVENTS_EXCHANGE else []),
        ]
        made += [_of(change, url) for url in urls]
    queue(made)


def announce_test(organization: Organization) -> Callback:
    """Queue a test webhook event to the organization's endpoint."""
    row = Callback(organization=organization, type=TEST, payload=_payload(TEST, {"message": "It works."}))
    queue([row])
    return row


def queue(rows: Sequence[Callback]) -> None:
    """Store these callbacks, and wake a worker for them after the commit."""
    if rows:
        Callback.objects.bulk_create(rows)
        wakes = [Wake(CALLBACKS, BULK_BELOW, str(row.pk), row.fence) for row in rows]
        transaction.on_commit(lambda: publisher.wake(wakes))


def _of(change: StatusChange, url: str) -> Callback:
    row = change.row
    kind = f"delivery.{change.status}"
    return Callback(
        organization_id=row.organization_id,
        notification_id=row.notification_id,
        url=url,
        type=kind,
        # Ids and codes only: the provider's reply may repeat an address.
        payload=_payload(
            kind,
            {
                "notification_id": str(row.notification_id),
                "request_id": row.notification.request_id,
                "delivery_id": str(row.pk),
                "channel": str(row.channel),
                "status": str(change.status),
                "reason": change.reason,
                "code": change.code,
            },
        ),
    )


def _payload(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    now = timezone.now().isoformat()
    return {"type": kind, "timestamp": now, "data": {**data, "at": now}}
