"""A gateway's posts: what became of a text, and what people answer; signed JSON, by Standard Webhooks.

{"id": "<the id that the text had>", "status": "delivered", "detail": "…", "permanent": false}
{"from": "+14155550123", "text": "STOP"}
"""

import json
import uuid
from collections.abc import Sequence
from typing import Any

from apps.notifications.channels.outcome import DETAIL_LIMIT
from apps.notifications.channels.sms import replies
from apps.notifications.channels.sms.providers.gateway import secret_of
from apps.notifications.channels.sms.providers.webhook.settings import WebhookSettings, checked
from apps.notifications.channels.tracking import (
    Kind,
    Post,
    Reply,
    TrackingEvent,
    Unread,
    Unverified,
    detail_of,
    key_of,
)
from notifier.lib.http.standard_webhooks import is_signed
from notifier.lib.phone_numbers import spelled

KINDS = {
    "sent": Kind.SENT,
    "delivered": Kind.DELIVERED,
    "failed": Kind.BOUNCED,
    "delayed": Kind.DELAYED,
}


class WebhookEvents:
    forms: bool = False
    signed_inside: bool = False
    identified_by: str = "HTTP_WEBHOOK_ID"

    def __init__(self, account: WebhookSettings) -> None:
        try:
            self._key = checked(secret_of(account.secret, account.secret_file))
        except (OSError, ValueError):
            # The account can't be used at all, which its provider reports.
            self._key = b""
        self.verifies = bool(self._key)

    def is_ping(self, post: Post) -> bool:
        return False

    def verify(self, post: Post) -> None:
        message_id, timestamp, signatures = (
            str(post.meta.get(f"HTTP_WEBHOOK_{name}", "")) for name in ("ID", "TIMESTAMP", "SIGNATURE")
        )
        if not message_id or not is_signed(
            self._key, message_id=message_id, timestamp=timestamp, signatures=signatures, body=post.body
        ):
            raise Unverified

    def read(self, post: Post) -> tuple[Sequence[TrackingEvent | Reply], list[Unread]]:
        value = json.loads(post.body)
        read: list[TrackingEvent | Reply] = []
        unread: list[Unread] = []
        for number, event in enumerate(value if isinstance(value, list) else [value]):
            key = key_of(post.meta.get(self.identified_by, ""), number)
            try:
                found = _reply(event, key) if "from" in event else _event(event, key)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                body = json.dumps(event, ensure_ascii=False).encode()
                unread.append(Unread(body, f"{type(error).__name__}: {error}"[:DETAIL_LIMIT]))
            else:
                read += [found] if found is not None else []
        return read, unread


def _event(event: dict[str, Any], key: str) -> TrackingEvent:
    own = event["id"]
    return TrackingEvent(
        kind=KINDS[event["status"]],
        key=key,
        delivery_id=uuid.UUID(own),
        detail=detail_of(event.get("detail")),
        permanent=event.get("permanent") is True,
    )


def _reply(event: dict[str, Any], key: str) -> Reply | None:
    """None: it asks for nothing that concerns us."""
    refuses = replies.refuses(str(event.get("text", "")))
    return None if refuses is None else Reply(key, spelled(str(event["from"])), refuses)
