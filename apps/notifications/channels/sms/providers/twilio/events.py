"""Twilio's posts: what became of a text, and what people answer. Both are forms that the account's token signs."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import parse_qsl

from django.conf import settings

from apps.notifications.channels.sms import replies
from apps.notifications.channels.sms.providers.gateway import secret_of
from apps.notifications.channels.sms.providers.twilio.outcomes import DEAD
from apps.notifications.channels.sms.providers.twilio.settings import TwilioSettings
from apps.notifications.channels.tracking import (
    MESSAGE_ID_LIMIT,
    Kind,
    Post,
    Reply,
    TrackingEvent,
    Unread,
    Unverified,
    detail_of,
    key_of,
)

KINDS = {
    "sent": Kind.SENT,
    "delivered": Kind.DELIVERED,
    "undelivered": Kind.BOUNCED,
    "failed": Kind.BOUNCED,
}
BODY_LIMIT = 64 * 1024
"""Octets; and fields: a form has to be read to be verified."""
FIELDS_LIMIT = 200
BEFORE = frozenset({"accepted", "scheduled", "queued", "sending"})
"""Reported of a text that nobody has sent yet."""


class TwilioEvents:
    forms: bool = True
    signed_inside: bool = False
    identified_by: str = ""

    def __init__(self, account: TwilioSettings) -> None:
        try:
            self._key = secret_of(account.key, account.key_file)
        except OSError:
            # The account can't be used at all, which its provider reports.
            self._key = ""
        self.verifies = bool(self._key)

    def is_ping(self, post: Post) -> bool:
        return False

    def verify(self, post: Post) -> None:
        """What is signed is the URL that Twilio was given, and the form's fields in order."""
        query = post.meta.get("QUERY_STRING", "")
        url = settings.PUBLIC_URL + str(post.meta.get("PATH_INFO", "")) + (f"?{query}" if query else "")
        if len(post.body) > BODY_LIMIT:
            raise Unverified
        try:
            fields = sorted(set(_fields(post)))
        except ValueError as error:
            raise Unverified from error
        signed = url + "".join(name + value for name, value in fields)
        digest = hmac.new(self._key.encode(), signed.encode("utf-8", "surrogateescape"), hashlib.sha1)
        given = str(post.meta.get("HTTP_X_TWILIO_SIGNATURE", "")).encode("utf-8", "surrogateescape")
        if not post.form or not hmac.compare_digest(base64.b64encode(digest.digest()), given):
            raise Unverified

    def read(self, post: Post) -> tuple[Sequence[TrackingEvent | Reply], list[Unread]]:
        fields = dict(_fields(post))
        if "MessageStatus" in fields:
            return self._status(post, fields)
        refuses = _refuses(fields)
        if refuses is None or not fields.get("From"):
            # A person's own words, for whoever else reads them.
            return [], []
        key = key_of("reply", fields.get("MessageSid", ""))
        return [Reply(key, fields["From"], refuses)], []

    def _status(self, post: Post, fields: dict[str, str]) -> tuple[list[TrackingEvent], list[Unread]]:
        status, sid, error = (
            fields["MessageStatus"],
            fields.get("MessageSid", ""),
            fields.get("ErrorCode", ""),
        )
        if status in BEFORE or status == "read":
            return [], []
        if status not in KINDS or not sid:
            return [], [Unread(post.body, f"unknown status {status[:40]!r}")]
        detail = f"{error} {fields.get('ErrorMessage', '')}".strip()
        event = TrackingEvent(
            kind=KINDS[status],
            key=key_of(status, sid),
            provider_message_id=sid[:MESSAGE_ID_LIMIT],
            detail=detail_of(detail),
            permanent=error.isdigit() and int(error) in DEAD,
        )
        return [event], []


def _refuses(fields: dict[str, str]) -> bool | None:
    # Twilio says it itself where the account has its own words for it.
    match fields.get("OptOutType", "").upper():
        case "STOP":
            return True
        case "START":
            return False
    return replies.refuses(fields.get("Body", ""))


def _fields(post: Post) -> list[tuple[str, str]]:
    body = post.body.decode("utf-8", "surrogateescape")
    if not post.form:
        return []
    return parse_qsl(body, keep_blank_values=True, errors="surrogateescape", max_num_fields=FIELDS_LIMIT)
