"""A mail server that catches every email."""

import asyncio
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from notifier.local.inbox import Inbox

FAILS_ONCE = "fail-once"
"""Addresses that begin with this are refused the first time."""
CONTENTS: list[dict[str, Any]] = [
    {
        "channel": "email",
        "language": "en",
        "subject": "Welcome aboard, {{ name }}",
        "html": (
            '<div style="font-family:sans-serif;max-width:480px;margin:auto;padding:24px">'
            '<h1 style="color:#1f4fd8">Welcome, {{ name }}</h1>'
            "<p>Your account is ready. It took one API call to tell you so.</p>"
            '<p><a href="https://example.com/start" style="background:#1f4fd8;color:#fff;padding:10px 18px;'
            'border-radius:6px;text-decoration:none">Get started</a></p></div>'
        ),
        "text": "Welcome, {{ name }}.\n\nYour account is ready: https://example.com/start\n",
    },
    {
        "channel": "email",
        "language": "fr",
        "subject": "Bienvenue à bord, {{ name }}",
        "html": "<h1>Bienvenue, {{ name }}</h1><p>Votre compte est prêt.</p>",
        "text": "Bienvenue, {{ name }}.\n\nVotre compte est prêt : https://example.com/start\n",
    },
]
"""The demo's."""


def start(inbox: Inbox) -> str:
    """Returns the provider's URL."""
    return f"smtp://127.0.0.1:{Catcher(inbox).start()}/?tls=none"


def item(raw: bytes) -> dict[str, Any]:
    """The email as the inbox lists it."""
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)  # noqa: S101 - the policy says so
    html = message.get_body(("html",))
    text = message.get_body(("plain",))
    return {
        "kind": "email",
        "to": str(message["To"]),
        "from": str(message["From"]),
        "subject": str(message["Subject"]),
        "html": html.get_content() if html else "",
        "text": text.get_content() if text else "",
        "headers": [[name, str(value)] for name, value in message.items()],
        "delivery_id": str(message["Message-ID"]).strip("<>").partition("@")[0],
    }


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
        self._inbox.add(item(content if isinstance(content, bytes) else content.encode()))
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
