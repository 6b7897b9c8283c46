"""Suppressing an address, or retiring a device, that no longer exists."""

from apps.notifications.models import Delivery, Suppression
from apps.users.models import Device
from notifier.channels.registry import CHANNELS


def retire(row: Delivery, *, reason: str, detail: str) -> None:
    """Suppress the delivery's address, or retire the device that still has its token. Call in a transaction.

    The outcome of a test delivery says nothing about its address, and must not stop live ones.
    """
    if not row.notification.live:
        return
    address = CHANNELS[row.channel].address
    if address.of_device:
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
            # Not for an erased person: the detail may repeat the address.
            "detail": detail if row.recipient else "",
        },
    )
