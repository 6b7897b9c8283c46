"""One push to one device."""

from collections.abc import Mapping
from typing import Any

from apps.notifications.channels.push.message import PushMessage
from apps.notifications.models.deliveries import ClaimedDelivery
from apps.users.preferences import links


def unsubscribe_page(delivery: ClaimedDelivery) -> str:
    """URL of the person's preference page; a device that is nobody's has none."""
    return links.page_for(delivery.user_id, delivery.category_id) if delivery.user_id else ""


def message_of(delivery: ClaimedDelivery, rendered: Mapping[str, Any], page: str) -> PushMessage:
    """`rendered`: the text of each part."""
    # The same for every attempt: by this alone an app recognizes a message that it has had.
    data = {**rendered["data"], "notification_id": str(delivery.notification_id)}
    return PushMessage(
        delivery_id=str(delivery.pk),
        token=delivery.recipient,
        **{**rendered, "data": data},
        expires_at=delivery.expires_at,
        attempt=delivery.attempts + 1,
    )
