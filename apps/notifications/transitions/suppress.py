"""What becomes of an address or a device that is dead for good."""

from apps.notifications.models import Delivery, Suppression
from apps.users.channels import Channel
from apps.users.models import Device


def retire(row: Delivery, *, reason: str, detail: str) -> None:
    """Suppress the delivery's address, or retire the device that still has its token. Call in a transaction.

    A test delivery's end says nothing of its address: whatever came of a rehearsal, live ones go on.
    """
    if not row.notification.live:
        return
    if row.channel == Channel.PUSH:
        Device.objects.filter(organization_id=row.organization_id).retire(token_hash=row.recipient_hash)
        return
    Suppression.objects.get_or_create(
        organization_id=row.organization_id,
        channel=row.channel,
        recipient_hash=row.recipient_hash,
        lifted_at=None,
        defaults={
            "recipient": row.recipient,
            "reason": reason,
            # An erased person's: the words may repeat the address.
            "detail": detail if row.recipient else "",
        },
    )
