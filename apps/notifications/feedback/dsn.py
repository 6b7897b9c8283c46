"""Reads what mail servers report by mail: delivery status notifications (RFC 3464, RFC 6533), complaints (RFC 5965)
and bounces in no standard format."""

import re
import uuid
from collections.abc import Iterator
from email.message import Message
from email.utils import parseaddr
from typing import NamedTuple

from django.conf import settings
from flufl.bounce import all_failures

from apps.notifications.channels.email.refusals import GONE, reported
from apps.notifications.channels.email.render import delivery_in
from apps.notifications.channels.tracking import Kind, TrackingEvent, detail_of, key_of
from apps.notifications.feedback import mail_parts

SIZE_LIMIT = 256 * 1024
"""Octets of a mail that are read: the report comes before the returned message."""
LINES_LIMIT = 400
"""Lines of a bounce without a report that are searched."""
TEXT_LIMIT = 32 * 1024
"""Characters of a bounce without a report that are searched."""
_KINDS = {
    # Spellings in use, beside the standard's own.
    **dict.fromkeys(("failed", "failure", "fail", "failled", "faild"), Kind.BOUNCED),
    "delayed": Kind.DELAYED,
    "delivered": Kind.DELIVERED,
}
_STATUS_PARTS = ("message/delivery-status", "message/global-delivery-status")
_FEEDBACK = "message/feedback-report"
_RETURNED = (
    "message/rfc822",
    "message/global",
    "text/rfc822-headers",
    "message/rfc822-headers",
    "message/global-headers",
)
_MAIL_SYSTEM = re.compile(
    r"(?:mailer|mail|mta)[-_. ]?(?:daemon|delivery|system)|mdaemon|post[-_ ]?master", re.IGNORECASE
)
_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# The domain is ignored: it is the one that our sender address had at the time.
_MESSAGE_ID = re.compile(rf"<({_ID})@[^\s<>]*>", re.IGNORECASE)
_MESSAGE_ID_LINE = re.compile(rf"^[\s>]*Message-ID:\s*<({_ID})@[^\s<>]*>", re.IGNORECASE | re.MULTILINE)
# The other server's reply that is quoted, to the end of its paragraph.
_REPLY = re.compile(r"(?<![^\s(:])[45][0-9]{2}[ -](?:[^\r\n]+(?:\r?\n)?)+")
_DELIVERED_TO = ("Delivered-To", "X-Original-To", "Envelope-To", "To")
_ORIGINAL = ("Original-Mail-From", "Original-Rcpt-To")


class NotABounce(Exception):
    """The mail is no report, or one that names no message of ours; its text says which."""


def read(octets: bytes) -> TrackingEvent:
    """The tracking event that the mail reports. Raises NotABounce and Forged, and any exception for a mail that
    was made to break the parser."""
    try:
        mail = mail_parts.parse(octets[:SIZE_LIMIT])
    except mail_parts.Hostile as error:
        raise NotABounce("built to keep the parser busy") from error
    parts = list(mail_parts.leaves(mail))
    if mail_parts.kind_of(mail) == "multipart/report" or _is_automatic(mail):
        reports = (part for part in parts if mail_parts.kind_of(part) in _STATUS_PARTS)
        if recipients := [one for part in reports for one in _recipients(part)]:
            return _report(recipients, mail, parts)
        for part in parts:
            if mail_parts.kind_of(part) == _FEEDBACK:
                return _complaint(part, mail, parts)
    return _without_report(mail, parts)


class _Recipient(NamedTuple):
    """A report's fields for one recipient. `status`: "5.1.1", or "". `diagnostic`: the other server's reply."""

    action: str
    status: str
    diagnostic: str

    @property
    def kind(self) -> Kind | None:
        return _KINDS.get(self.action)


def _report(recipients: list[_Recipient], mail: Message, parts: list[Message]) -> TrackingEvent:
    """One event for the whole report: where an address became several recipients, it is about a failed one."""
    failed = [one for one in recipients if one.kind is Kind.BOUNCED]
    recipient = (failed or recipients)[0]
    kind = recipient.kind
    if kind is None:
        raise NotABounce(f"reports {recipient.action[:40] or 'nothing'}")
    delivery_id, proven = _delivery(mail, parts)
    detail = detail_of(f"{recipient.status} {recipient.diagnostic}".strip())
    # An alias of several people is not dead while one of them can be reached.
    gone = len(failed) == len(recipients) and all(
        reported(one.status, one.diagnostic) in GONE for one in failed
    )
    return TrackingEvent(
        kind=kind,
        key=key_of(kind, delivery_id, detail),
        delivery_id=delivery_id,
        detail=detail,
        permanent=kind is Kind.BOUNCED and proven and gone,
    )


def _complaint(part: Message, mail: Message, parts: list[Message]) -> TrackingEvent:
    fields = next(iter(mail_parts.fields_in(mail_parts.text_of(part))), Message())
    feedback = mail_parts.token(fields, "Feedback-Type")
    if feedback != "abuse":
        # Other types are praise ("not-spam"), or about signatures and viruses.
        raise NotABounce(f"feedback {feedback[:40] or 'of no type'}")
    original = "\n".join(mail_parts.field(fields, name) for name in _ORIGINAL)
    named = delivery_in(original)
    # Anybody who has the message could also use its unsubscribe link, so its Message-ID is proof enough.
    delivery_id = named or _delivery(mail, parts)[0]
    detail = detail_of(f"abuse {mail_parts.field(fields, 'User-Agent')}".strip())
    return TrackingEvent(
        kind=Kind.COMPLAINED,
        key=key_of(Kind.COMPLAINED, delivery_id),
        delivery_id=delivery_id,
        detail=detail,
    )


def _without_report(mail: Message, parts: list[Message]) -> TrackingEvent:
    """A bounce in a server's own format: where it names a message of ours the message bounced, but its text is no
    ground for suppressing the address."""
    if not _from_the_mail_system(mail) or "vacation" in str(mail.get("Auto-Submitted", "")).lower():
        raise NotABounce("no report")
    named = mail_parts.field(mail, "X-Failed-Recipients")
    delayed, failed = (set(), {named}) if named else all_failures(_short(mail, parts))
    if not failed and not delayed:
        raise NotABounce("no report")
    delivery_id, _ = _delivery(mail, parts)
    kind = Kind.BOUNCED if failed else Kind.DELAYED
    text = mail_parts.text_of(parts[0])[:TEXT_LIMIT] if parts else ""
    reply = _REPLY.search(text)
    detail = detail_of(reply[0] if reply else mail_parts.field(mail, "Subject"))
    return TrackingEvent(
        kind=kind, key=key_of(kind, delivery_id, detail), delivery_id=delivery_id, detail=detail
    )


def _short(mail: Message, parts: list[Message]) -> Message:
    """A shortened copy for flufl.bounce, which tries a hundred patterns on every line of every part."""
    short = Message()
    # The library requires a sender.
    short["From"] = parseaddr(mail_parts.field(mail, "From"))[1] or "mailer-daemon"
    for name in ("To", "Subject", "Return-Path", "X-Mailer"):
        if mail[name] is not None:
            short[name] = mail_parts.field(mail, name)[:1000]
    body = next((part for part in parts if mail_parts.kind_of(part).startswith("text/")), None)
    text = mail_parts.text_of(body)[:TEXT_LIMIT] if body is not None else ""
    short.set_payload("\n".join(text.splitlines()[:LINES_LIMIT]))
    return short


def _recipients(part: Message) -> Iterator[_Recipient]:
    """The report's blocks that are about a recipient each."""
    for group in mail_parts.fields_in(mail_parts.text_of(part)):
        if group["Action"] is not None:
            status = _STATUS.match(mail_parts.token(group, "Status"))
            yield _Recipient(
                mail_parts.token(group, "Action"), status[0] if status else "", _diagnostic_text(group)
            )


def _diagnostic_text(recipient: Message) -> str:
    """The other server's reply, without its type; some mail systems put it into a field of their own."""
    text = mail_parts.field(recipient, "Diagnostic-Code")
    if not text:
        text = mail_parts.field(recipient, "X-Supplementary-Info").strip("<>")
    return re.sub(r"^[A-Za-z0-9-]+\s*;\s*", "", text)


def _is_automatic(mail: Message) -> bool:
    """Whether no person wrote the mail: its return path is empty, or its sender is a mail system."""
    return _return_path(mail) == "" or _from_the_mail_system(mail)


def _from_the_mail_system(mail: Message) -> bool:
    """Whether a mail system wrote the mail; an empty return path is no proof, as automatic replies have one."""
    name, address = parseaddr(mail_parts.field(mail, "From"))
    locals_ = (one.rpartition("@")[0] or one for one in (address, _return_path(mail) or ""))
    return bool(mail["X-Failed-Recipients"]) or any(_MAIL_SYSTEM.search(one) for one in (name, *locals_))


def _return_path(mail: Message) -> str | None:
    """Empty for mail that must not be answered, None where the receiving server wrote no Return-Path."""
    value = mail.get("Return-Path")
    return None if value is None else str(value).strip().strip("<>").strip()


def _delivery(mail: Message, parts: list[Message]) -> tuple[uuid.UUID, bool]:
    """The delivery, and whether it is proven: by the VERP address that the mail came to, which carries a proof, else
    by the returned message's Message-ID.

    Anybody who has seen a message knows its Message-ID, so where bounces have VERP addresses, a report without one
    suppresses no address.
    """
    to = (str(value) for name in _DELIVERED_TO for value in mail.get_all(name, []))
    if (named := delivery_in("\n".join(to))) is not None:
        return named, True
    for part in parts:
        if mail_parts.kind_of(part) in _RETURNED:
            returned = mail_parts.fields_in(mail_parts.text_of(part))[:1]
            found = _MESSAGE_ID.search(mail_parts.field(returned[0], "Message-ID")) if returned else None
        elif mail_parts.kind_of(part).startswith("text/"):
            found = _MESSAGE_ID_LINE.search(mail_parts.text_of(part)[:TEXT_LIMIT])
        else:
            continue
        if found:
            return uuid.UUID(found[1]), not settings.BOUNCE_ADDRESS
    raise NotABounce("names no message of ours")
