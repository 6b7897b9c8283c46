"""What people answer to a message: whoever asks for no more gets none, until they ask for them again."""

from typing import Any

import structlog
from django.db import transaction

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.channels.tracking import Reply
from apps.notifications.models import Delivery, ProviderEvent, Suppression
from apps.notifications.transitions import timeline
from apps.users.audit_log import acting
from apps.users.recipient_hashes import recipient_hash
from notifier.channels.registry import CHANNELS

log = structlog.get_logger(__name__)

REASON = "refused_by_reply"
LIFTED = "asked for again by a reply"
RECIPIENT = "recipient"
"""Who made, or lifted, the suppression."""


@transaction.atomic
def apply(source: str, reply: Reply) -> bool:
    """Suppress the address, or lift what an earlier reply had suppressed, for each organization that has sent to it
    through the account `source`. Returns whether the reply was new."""
    _, new = ProviderEvent.objects.get_or_create(
        source=source, key=reply.key, defaults={"kind": timeline.REPLIED, "due_at": None}
    )
    if not new:
        return False
    for channel in DELIVERIES:
        for row in _sent_to(channel, reply.recipient, source):
            with acting(RECIPIENT):
                changed = _refuse(row, reply.recipient) if reply.refuses else _allow(row)
            if changed:
                timeline.note(row, timeline.REPLIED, source=source, refuses=str(reply.refuses).lower())
            log.info("reply", delivery_id=str(row.pk), refuses=reply.refuses, changed=changed)
    return True


def _sent_to(channel: str, recipient: str, source: str) -> list[Any]:
    """The latest delivery of each organization to this address, through this account."""
    rows = DELIVERIES[channel].objects.filter(
        recipient_hash=recipient_hash(channel, recipient), provider=source, notification__live=True
    )
    organizations = rows.order_by().values_list("organization", flat=True).distinct()
    return [rows.filter(organization=one).order_by("-id").first() for one in organizations]


def _refuse(row: Delivery, recipient: str) -> bool:
    address = CHANNELS[row.channel].address
    _, made = Suppression.objects.get_or_create(
        organization_id=row.organization_id,
        channel=row.channel,
        recipient_hash=row.recipient_hash,
        lifted_at=None,
        defaults={
            # An erased person's address is not stored again.
            "recipient": recipient if address.readable and row.recipient else "",
            "reason": REASON,
            "created_by": RECIPIENT,
        },
    )
    return made


def _allow(row: Delivery) -> bool:
    """Lifts nothing but what a reply has suppressed: an operator's reason, or a dead number, stays."""
    theirs = Suppression.objects.filter(
        organization=row.organization_id,
        channel=row.channel,
        recipient_hash=row.recipient_hash,
        reason=REASON,
    )
    return theirs.lift(by=RECIPIENT, reason=LIFTED) > 0
