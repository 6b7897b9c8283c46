"""A gateway that catches every text: it takes what the signed webhook posts, and checks it as a gateway would."""

import base64
import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

from apps.users.models import User
from notifier.lib.http.standard_webhooks import is_signed, key_of
from notifier.lib.phone_numbers import spelled
from notifier.local.inbox import Inbox

CONTENTS: list[dict[str, Any]] = [
    {
        "channel": "sms",
        "language": "en",
        "text": "Welcome, {{ name }}. Your account is ready: https://example.com/start",
    },
    {
        "channel": "sms",
        "language": "fr",
        "text": "Bienvenue, {{ name }}. Votre compte est prêt : https://example.com/start",
    },
]
"""The demo's."""
NUMBER = "+14155550123"
BODY_LIMIT = 64 * 1024


def start(inbox: Inbox) -> str:
    """Returns the provider's URL."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    server = _Server(inbox, secret)
    threading.Thread(target=server.serve_forever, name="sms-catcher", daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/?secret={quote(secret, safe='')}"


def reach(person: User) -> None:
    """Give the demo's person an address of this channel."""
    person.phone = NUMBER
    person.save(update_fields=["phone"])


def item(data: dict[str, Any]) -> dict[str, Any]:
    """A text as the inbox lists it."""
    return {
        "kind": "sms",
        "on_phone": True,
        "to": data["to"],
        "subject": data["text"][:60],
        "note": f"{data['segments']} × {data['encoding']}",
        "text": data["text"],
        "delivery_id": data["id"],
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, inbox: Inbox, secret: str) -> None:
        self.inbox, self.key = inbox, key_of(secret)
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), BODY_LIMIT))
        status, answer = self._taken(body)
        raw = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _taken(self, body: bytes) -> tuple[int, dict[str, Any]]:
        headers = {name: self.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")}
        if not is_signed(
            self.server.key,
            message_id=headers["id"],
            timestamp=headers["timestamp"],
            signatures=headers["signature"],
            body=body,
        ):
            return 401, {"message": "The signature does not verify."}
        data = json.loads(body)["data"]
        if spelled(data["to"]) != data["to"]:
            return 422, {"code": "number_invalid", "message": "`to` is no number in E.164."}
        self.server.inbox.add(item(data))
        return 202, {"id": data["id"]}

    def log_message(self, format: str, *args: Any) -> None:
        return
