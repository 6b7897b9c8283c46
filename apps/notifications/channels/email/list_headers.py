"""Headers by which mailboxes and filters know what sort of mail a message is, and by which people refuse it."""

import re

from django.conf import settings

from apps.notifications.models.claimed import ClaimedDelivery
from notifier.lib.email_addresses import sender

AUTOMATIC = {"Auto-Submitted": "auto-generated"}
"""On every message (RFC 3834): no vacation notice answers it."""
SENDER_ID = "notifier"
"""The last field of Feedback-ID, which has 5 to 15 characters and is the same on all mail of a system."""
_NO_LABEL = re.compile(r"^\.+|\.+$|(?<=\.)\.+")


def headers_for(delivery: ClaimedDelivery, page: str) -> dict[str, str]:
    """`page`: where this recipient refuses it; empty where nobody can."""
    if delivery.category_id is None:
        return AUTOMATIC
    label = _NO_LABEL.sub("", delivery.category_code)
    headers = {
        **AUTOMATIC,
        # RFC 2919: one name for all mail of a category, whoever it is to.
        "List-Id": f"<{label}.{delivery.organization_slug}.{_namespace()}>",
        # Gmail's tools for senders add complaints up by each field.
        "Feedback-ID": f"{label}:{delivery.organization_slug}:notification:{SENDER_ID}",
    }
    if page and not delivery.mandatory:
        # The headers by which a mailbox shows its own button for it (RFC 8058).
        headers["List-Unsubscribe"] = f"<{page}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers


def _namespace() -> str:
    domain = sender(settings.EMAIL_FROM).domain
    # An address literal is no domain; for whoever has none, RFC 2919 sets this name aside.
    return "localhost" if domain.startswith("[") else domain
