"""One email: the rendered text, headers that tell mailboxes and filters what kind of mail it is, those for
unsubscribing, and its return path.

The return path is VERP: it names the delivery, with a proof that only we can compute.
"""

import hmac
import re
import uuid
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from apps.notifications.channels.email.message import EmailMessage
from apps.notifications.models.deliveries import ClaimedDelivery
from apps.users.preferences import links
from apps.users.recipient_hashes import keyed_hash, recipient_hash
from notifier.channels.email import EMAIL
from notifier.lib.email_addresses import sender

AUTOMATIC = {"Auto-Submitted": "auto-generated"}
"""On every message (RFC 3834), so that no automatic reply answers it."""
SENDER_ID = "notifier"
"""The last field of Feedback-ID: 5 to 15 characters, the same on all mail of a system."""
_NO_LABEL = re.compile(r"^\.+|\.+$|(?<=\.)\.+")


def unsubscribe_page(delivery: ClaimedDelivery) -> str:
    """URL of the recipient's preference page; empty if there is none."""
    if delivery.user_id:
        return links.page_for(delivery.user_id, delivery.category_id)
    # An address without a person has no preferences, but can unsubscribe from what isn't mandatory.
    if delivery.category_id is None or delivery.mandatory:
        return ""
    hashed = recipient_hash(EMAIL.code, delivery.recipient)
    return links.page_for_address(delivery.organization_id, delivery.category_id, hashed)


def message_of(delivery: ClaimedDelivery, rendered: Mapping[str, Any], page: str) -> EmailMessage:
    """`rendered`: the text of each part; `page`: the recipient's `unsubscribe_page`."""
    return EmailMessage(
        # The same for every attempt of a delivery: a mailbox that gets two copies shows one.
        message_id=f"<{delivery.pk}@{sender(settings.EMAIL_FROM).domain}>",
        sender=settings.EMAIL_FROM,
        to=delivery.recipient,
        **rendered,
        headers=headers_for(
            category=delivery.category_code,
            organization=delivery.organization_slug,
            unsubscribe_page="" if delivery.mandatory else page,
        ),
        attempt=delivery.attempts + 1,
        return_path=return_path(delivery.pk),
    )


def headers_for(*, category: str, organization: str, unsubscribe_page: str) -> dict[str, str]:
    """`category`: its code, empty where there is none; `organization`: its slug; `unsubscribe_page`: the URL of this
    recipient's page, empty where nobody may unsubscribe."""
    if not category:
        return AUTOMATIC
    label = _NO_LABEL.sub("", category)
    headers = {
        **AUTOMATIC,
        # RFC 2919: one identifier for all mail of a category, the same for every recipient.
        "List-Id": f"<{label}.{organization}.{_namespace()}>",
        # Gmail's postmaster tools count complaints by each field.
        "Feedback-ID": f"{label}:{organization}:notification:{SENDER_ID}",
    }
    if unsubscribe_page:
        # With these headers a mailbox shows its own unsubscribe button (RFC 8058).
        headers["List-Unsubscribe"] = f"<{unsubscribe_page}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers


def _namespace() -> str:
    domain = sender(settings.EMAIL_FROM).domain
    # An address literal is no domain; RFC 2919 reserves this name for senders without one.
    return "localhost" if domain.startswith("[") else domain


TOKEN_LENGTH = 44
"""Hex digits of the delivery's id and its proof."""


class Forged(Exception):
    """The address has a token that was not issued here, or was issued with another HASH_KEY."""


def return_path(delivery_id: uuid.UUID) -> str:
    """The return path of this delivery; empty without BOUNCE_ADDRESS: bounces go to the sender."""
    if not settings.BOUNCE_ADDRESS:
        return ""
    local, _, domain = settings.BOUNCE_ADDRESS.rpartition("@")
    return f"{local}+{delivery_id.hex}{_proof(delivery_id)}@{domain}"


def delivery_in(text: str) -> uuid.UUID | None:
    """The delivery that a return path anywhere in `text` names; None where there is no return path of ours.

    Raises Forged.
    """
    if not settings.BOUNCE_ADDRESS:
        return None
    local, _, domain = settings.BOUNCE_ADDRESS.rpartition("@")
    found = re.search(
        rf"(?<![^\s<:;,]){re.escape(local)}\+([^@\s]{{1,64}})@{re.escape(domain)}", text, re.IGNORECASE
    )
    if found is None:
        return None
    token = found[1].lower()
    if re.fullmatch(f"[0-9a-f]{{{TOKEN_LENGTH}}}", token):
        delivery_id = uuid.UUID(token[:32])
        if hmac.compare_digest(token[32:], _proof(delivery_id)):
            return delivery_id
    raise Forged


def _proof(delivery_id: uuid.UUID) -> str:
    return keyed_hash(b"return-path\0" + delivery_id.bytes)[: TOKEN_LENGTH - 32]
