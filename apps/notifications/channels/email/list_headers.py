"""Headers that tell mailboxes and filters what kind of mail this is, and the headers for unsubscribing."""

import re

from django.conf import settings

from apps.notifications.models.claimed import ClaimedDelivery
from notifier.lib.email_addresses import sender

AUTOMATIC = {"Auto-Submitted": "auto-generated"}
"""On every message (RFC 3834), so that no automatic reply answers it."""
SENDER_ID = "notifier"
"""The last field of Feedback-ID: 5 to 15 characters, the same on all mail of a system."""
_NO_LABEL = re.compile(r"^\.+|\.+$|(?<=\.)\.+")


def headers_for(delivery: ClaimedDelivery, page: str) -> dict[str, str]:
    """`page`: the URL of this recipient's unsubscribe page; empty where there is none."""
    if delivery.category_id is None:
        return AUTOMATIC
    label = _NO_LABEL.sub("", delivery.category_code)
    headers = {
        **AUTOMATIC,
        # RFC 2919: one identifier for all mail of a category, the same for every recipient.
        "List-Id": f"<{label}.{delivery.organization_slug}.{_namespace()}>",
        # Gmail's postmaster tools count complaints by each field.
        "Feedback-ID": f"{label}:{delivery.organization_slug}:notification:{SENDER_ID}",
    }
    if page and not delivery.mandatory:
        # With these headers a mailbox shows its own unsubscribe button (RFC 8058).
        headers["List-Unsubscribe"] = f"<{page}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers


def _namespace() -> str:
    domain = sender(settings.EMAIL_FROM).domain
    # An address literal is no domain; RFC 2919 reserves this name for senders without one.
    return "localhost" if domain.startswith("[") else domain
