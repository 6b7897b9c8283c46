"""Delivery status notifications (RFC 3464): what a mail server says by mail of a message that it had taken."""

import re
import uuid
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser

from django.conf import settings

from apps.notifications import return_paths
from apps.notifications.providers.smtp_outcomes import refuses_address
from apps.notifications.providers.told import Kind, Told, detail_of, key_of

SIZE_LIMIT = 256 * 1024
"""Octets that are looked at: the report comes before the message that it returns."""
PARTS_LIMIT = 20
_KINDS = {"failed": Kind.BOUNCED, "delayed": Kind.DELAYED, "delivered": Kind.DELIVERED}
_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
_MESSAGE_ID = re.compile(r"<([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@[^\s<>]+>", re.IGNORECASE)
_DELIVERED_TO = ("Delivered-To", "X-Original-To", "Envelope-To", "To")


class NotABounce(Exception):
    """No report, or one that names no message of ours; the words say which."""


def read(octets: bytes) -> Told:
    """What the mail tells. Raises NotABounce and return_paths.Forged; and whatever a mail that was made to
    break the parser brings about."""
    mail = BytesParser().parsebytes(octets[:SIZE_LIMIT])
    if mail.get_content_type() != "multipart/report":
        raise NotABounce("no report")
    parts = _parts(mail)
    recipient = _recipient(parts)
    action = _words(recipient, "Action").lower()
    kind = _KINDS.get(action)
    if kind is None:
        raise NotABounce(f"reports {action[:40] or 'nothing'}")
    status = _STATUS.match(_words(recipient, "Status"))
    said = _words(recipient, "Diagnostic-Code").partition(";")[2]
    delivery_id, proven = _delivery(mail, parts)
    detail = detail_of(f"{status[0] if status else ''} {said}".strip())
    return Told(
        kind=kind,
        key=key_of(kind, delivery_id, detail),
        delivery_id=delivery_id,
        detail=detail,
        permanent=kind is Kind.BOUNCED and proven and _is_gone(status[0] if status else "", said),
    )


def _is_gone(status: str, said: str) -> bool:
    """By the table of SMTP's replies. Exim's status is 5.0.0 whatever it was told, so that counts last."""
    verdict = refuses_address(said)
    return bool(refuses_address(status) if verdict is None else verdict)


def _recipient(parts: list[Message]) -> Message:
    """The report's lines about the recipient; of several, about one to whom it can't be delivered."""
    for part in parts:
        if part.get_content_type() == "message/delivery-status":
            recipients = [group for group in _parts(part) if group["Action"] is not None]
            failed = [group for group in recipients if _words(group, "Action").lower() == "failed"]
            if recipients:
                return (failed or recipients)[0]
    raise NotABounce("no delivery status")


def _delivery(mail: Message, parts: list[Message]) -> tuple[uuid.UUID, bool]:
    """By the address that the mail came to, which proves itself; else by the returned message's Message-ID.

    And whether it is proven: everybody who has seen a message knows its Message-ID, so where bounces have a return
    path of ours, a report without one ends no address.
    """
    to = (str(value) for name in _DELIVERED_TO for value in mail.get_all(name, []))
    if (named := return_paths.delivery_in("\n".join(to))) is not None:
        return named, True
    for part in parts:
        if part.get_content_type() in ("message/rfc822", "message/global"):
            returned = next(iter(_parts(part)), None)
        elif part.get_content_type() in ("text/rfc822-headers", "message/global-headers"):
            raw = part.get_payload(decode=True)
            returned = BytesHeaderParser().parsebytes(raw) if isinstance(raw, bytes) else None
        else:
            continue
        if returned is not None and (found := _MESSAGE_ID.search(_words(returned, "Message-ID"))):
            return uuid.UUID(found[1]), not settings.BOUNCE_ADDRESS
    raise NotABounce("names no message of ours")


def _parts(whole: Message) -> list[Message]:
    inner = whole.get_payload()
    found = inner if isinstance(inner, list) else []
    return [part for part in found[:PARTS_LIMIT] if isinstance(part, Message)]


def _words(part: Message, name: str) -> str:
    return " ".join(str(part.get(name, "")).split())
