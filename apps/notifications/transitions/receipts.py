"""Receipts: what a provider or gateway reports later of a sent message. The best status wins, in whatever order."""

import uuid
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from apps.notifications.channels.email.refusals import disabled_for_now
from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.errors import BeingSent, NotHere
from apps.notifications.models import Delivery
from apps.notifications.models.statuses import Status
from apps.notifications.transitions import dead_letters, suppress, timeline
from apps.notifications.transitions.disabled_mailboxes import disabled_before
from apps.notifications.transitions.status_changes import RECEIPT_MOVES, change
from apps.notifications.webhooks import events
from apps.users.models import Organization


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """`delivery_id` or `provider_message_id` names the delivery. `permanent`: the address or token is dead."""

    channel: str
    status: Status
    delivery_id: uuid.UUID | None = None
    provider_message_id: str = ""
    detail: str = ""
    permanent: bool = False


@transaction.atomic
def apply(*, organization: Organization, receipt: Receipt) -> tuple[Delivery, bool]:
    """The delivery, and whether the receipt moved it: an older or worse report changes nothing.

    Raises NotHere, BeingSent.
    """
    model = DELIVERIES[receipt.channel]
    named = (
        {"pk": receipt.delivery_id}
        if receipt.delivery_id is not None
        else {"provider_message_id": receipt.provider_message_id}
    )
    row: Delivery | None = (
        model.objects.select_for_update().filter(organization=organization, **named).order_by("-id").first()
    )
    if row is None:
        raise NotHere("There is no such delivery here.")
    if row.status == Status.SENDING:
        # It is sent and not recorded yet; a row that is `sending` can't be moved.
        raise BeingSent("This delivery is being sent; report it again.", headers={"Retry-After": "5"})
    return row, move(row, receipt)


def move(row: Delivery, receipt: Receipt) -> bool:
    """Apply a receipt to a locked row; returns whether it moved it. A permanent bounce always retires the address."""
    rows: Any = type(row).objects  # type: ignore[attr-defined]
    moved = bool(change(rows.filter(pk=row.pk), receipt.status, RECEIPT_MOVES, finished_at=Now()))
    if moved:
        timeline.note(row, receipt.status, detail=receipt.detail, source="receipt", before=row.status)
        dead_letters.close_unknown([row.pk], by="receipt")
        row.status = receipt.status
        events.announce([events.StatusChange(row, receipt.status)])
    if receipt.status == Status.BOUNCED and (receipt.permanent or _disabled_again(row, receipt.detail)):
        suppress.retire(row, reason="bounced", detail=receipt.detail)
    return moved


def complain(row: Delivery, *, detail: str, source: str) -> None:
    """Record a complaint: the status stays, and the address or device gets nothing more. Call in a transaction."""
    timeline.note(row, timeline.COMPLAINED, detail=detail, source=source)
    suppress.retire(row, reason="complaint", detail=detail)


def _disabled_again(row: Delivery, detail: str) -> bool:
    return disabled_for_now(detail) and disabled_before(row)
