"""The moves that callers are told of: a row each, in the transaction of the move itself."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.notifications.models import BULK_BELOW, CALLBACKS, EXCHANGE, Callback, Delivery, WebhookEndpoint
from apps.notifications.models.statuses import Status
from apps.notifications.queue.publisher import Wake, publisher
from apps.users.models import Organization

ANNOUNCED = frozenset(Status) - {Status.QUEUED, Status.SENDING}
TEST = "endpoint.test"


class StatusChange(NamedTuple):
    """What became of a delivery."""

    row: Delivery
    status: str
    reason: str = ""
    code: str = ""


def announce(moves: Sequence[StatusChange]) -> None:
    """Queue what the callers want to know of these moves, all of one organization. Call inside the transaction."""
    if not moves:
        return
    organization = moves[0].row.organization_id
    endpoint = WebhookEndpoint.objects.filter(organization=organization, enabled=True).exclude(url="").first()
    made = []
    for move in moves:
        own = move.row.notification.callback_url
        urls = [
            *([""] if endpoint else []),
            *([own] if own and (not endpoint or own != endpoint.url) else []),
            *([EXCHANGE] if settings.EVENTS_EXCHANGE else []),
        ]
        made += [_of(move, url) for url in urls]
    queue(made)


def announce_test(organization: Organization) -> Callback:
    """An event that means nothing, to the organization's endpoint."""
    row = Callback(organization=organization, type=TEST, payload=_payload(TEST, {"message": "It works."}))
    queue([row])
    return row


def queue(rows: Sequence[Callback]) -> None:
    if rows:
        Callback.objects.bulk_create(rows)
        wakes = [Wake(CALLBACKS, BULK_BELOW, str(row.pk), row.fence) for row in rows]
        transaction.on_commit(lambda: publisher.wake(wakes))


def _of(move: StatusChange, url: str) -> Callback:
    row = move.row
    kind = f"delivery.{move.status}"
    return Callback(
        organization_id=row.organization_id,
        notification_id=row.notification_id,
        url=url,
        type=kind,
        # Ids and codes alone: the provider's words may repeat an address.
        payload=_payload(
            kind,
            {
                "notification_id": str(row.notification_id),
                "request_id": row.notification.request_id,
                "delivery_id": str(row.pk),
                "channel": str(row.channel),
                "status": str(move.status),
                "reason": move.reason,
                "code": move.code,
            },
        ),
    )


def _payload(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    now = timezone.now().isoformat()
    return {"type": kind, "timestamp": now, "data": {**data, "at": now}}
