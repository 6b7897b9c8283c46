"""One text to one number, from what was rendered."""

from apps.notifications.channels.sms.message import SmsMessage
from apps.notifications.models.deliveries import ClaimedDelivery
from apps.users.preferences import links
from notifier.channels.declaration import Rendered


def unsubscribe_page(delivery: ClaimedDelivery) -> str:
    """URL of the person's preference page; a number that is nobody's has none, and answers STOP."""
    # Of no category: the page's button for a category would stop its emails alone.
    return links.page_for(delivery.user_id, None) if delivery.user_id else ""


def message_of(delivery: ClaimedDelivery, rendered: Rendered, page: str) -> SmsMessage:
    return SmsMessage(
        delivery_id=str(delivery.pk),
        to=delivery.recipient,
        text=rendered["text"].replace("\r\n", "\n"),
        expires_at=delivery.expires_at,
        attempt=delivery.attempts + 1,
    )
