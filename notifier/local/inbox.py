"""The messages that the stand-in providers caught, in memory, for the page at `/`."""

import asyncio
import itertools
import threading
from collections import deque
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from django.utils import timezone

MESSAGES_LIMIT = 200
FAILS_ONCE = "fail-once"
"""Addresses that begin with this are refused the first time."""


class Inbox:
    """The newest messages, each with an increasing `number`, by which the page asks for newer ones."""

    def __init__(self) -> None:
        self._items: deque[dict[str, Any]] = deque(maxlen=MESSAGES_LIMIT)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, item: dict[str, Any]) -> None:
        with self._lock:
            self._items.append({"number": next(self._numbers), "at": timezone.now().isoformat(), **item})

    def after(self, number: int) -> list[dict[str, Any]]:
        with self._lock:
            return [item for item in self._items if item["number"] > number]

    def add_push(self, message: dict[str, Any]) -> None:
        """Add a message in the form of FCM's v1 API."""
        shown = message.get("notification", {})
        data = message.get("data", {})
        self.add(
            {
                "kind": "push",
                "to": f"{message.get('token', '')[:12]}…",
                "subject": shown.get("title", ""),
                "text": shown.get("body", ""),
                "image": shown.get("image", ""),
                "data": data,
                "notification_id": data.get("notification_id", ""),
            }
        )

    def add_email(self, raw: bytes) -> None:
        message = message_from_bytes(raw, policy=policy.default)
        assert isinstance(message, EmailMessage)  # noqa: S101 - the policy says so
        html = message.get_body(("html",))
        text = message.get_body(("plain",))
        self.add(
            {
                "kind": "email",
                "to": str(message["To"]),
                "from": str(message["From"]),
                "subject": str(message["Subject"]),
                "html": html.get_content() if html else "",
                "text": text.get_content() if text else "",
                "headers": [[name, str(value)] for name, value in message.items()],
                "delivery_id": str(message["Message-ID"]).strip("<>").partition("@")[0],
            }
        )


class Catcher:
    """An SMTP server on a free loopback port that delivers into an inbox."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._refused: set[str] = set()
        self._loop = asyncio.new_event_loop()

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        # So that the demo can show a failure, and a replay that succeeds.
        if address.startswith(FAILS_ONCE) and address not in self._refused:
            self._refused.add(address)
            return "554 5.7.1 This address refuses the first message (the demo's own rule)"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content or b""
        self._inbox.add_email(content if isinstance(content, bytes) else content.encode())
        return "250 2.0.0 Caught"

    def start(self) -> int:
        """Returns the port."""
        # aiosmtpd's own controller can't choose a free port.
        listening = self._loop.run_until_complete(
            self._loop.create_server(
                lambda: SMTP(self, enable_SMTPUTF8=True, loop=self._loop), host="127.0.0.1", port=0
            )
        )
        threading.Thread(target=self._loop.run_forever, name="smtp-catcher", daemon=True).start()
        return int(listening.sockets[0].getsockname()[1])


inbox = Inbox()
