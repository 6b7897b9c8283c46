"""A stand-in for FCM on a loopback port, with the real service's paths, checks and responses.

For the local demo and the tests. It signs in the service accounts that it wrote itself, and returns the scripted
responses for a device token one after another before it accepts again.
"""

import json
import socket
import socketserver
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from email.message import Message
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qs
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from notifier.local import fcm_answers as answers
from notifier.local.fcm_answers import Answer

Script = Answer | Literal["stall", "cut"]
"""A response; or `stall`: send nothing until the client gives up; or `cut`: close the connection."""
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCE = "https://oauth2.googleapis.com/token"
ACCOUNT = "push@stand-in.iam.gserviceaccount.com"


class FcmStandIn:
    """A context manager; or `start()` and `stop()`.

    `messages`: the accepted messages, as FCM's JSON, in order. `connections`, `sign_ins` and `stalled` count TCP
    connections, issued access tokens and requests left without a response. `expires_in`: lifetime in seconds of the
    tokens issued from now on. `key`: the key of its service accounts; a new one if None.
    """

    def __init__(
        self,
        project_id: str = "stand-in",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        key: rsa.RSAPrivateKey | None = None,
        on_message: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.project_id = project_id
        self.messages: list[dict[str, Any]] = []
        self.connections = self.sign_ins = self.stalled = 0
        self.expires_in = 3600
        self.stopped = threading.Event()
        self._on_message = on_message
        self._lock = threading.Lock()
        self._access_tokens: set[str] = set()
        self._scripts: dict[str, deque[Script]] = defaultdict(deque)
        self._key = key or rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._server = _Server((host, port), self)
        self.base_url = f"http://{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self.hang_up()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def hang_up(self) -> None:
        """Close every open connection, as a server does with idle ones."""
        with self._lock:
            for connection in list(self._server.open):
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def script(self, token: str, *scripted: Script) -> None:
        """The next responses for this device token; the token `"oauth"` scripts the sign-in instead."""
        with self._lock:
            self._scripts[token].extend(scripted)

    def forget(self) -> None:
        """Clear accepted messages and scripts, for the next test."""
        with self._lock:
            self.messages.clear()
            self._scripts.clear()
            self.stalled = 0

    def revoke(self) -> None:
        """Refuse every access token issued so far."""
        with self._lock:
            self._access_tokens.clear()

    def write_service_account(self, path: Path) -> Path:
        """Write the file of a service account that can sign in here."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        account = {
            "type": "service_account",
            "project_id": self.project_id,
            "private_key_id": "stand-in",
            "private_key": pem.decode(),
            "client_email": ACCOUNT,
            "token_uri": f"{self.base_url}/token",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(account))
        return path

    def answer(self, path: str, headers: Message, body: bytes) -> Script:
        if path == "/token":
            return self._next("oauth") or self._sign_in(body)
        if path != f"/v1/projects/{self.project_id}/messages:send":
            return answers.bare(404)
        scheme, _, access = headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or access not in self._access_tokens:
            return answers.unauthenticated()
        if headers.get_content_type() != "application/json":
            return answers.invalid_argument("Content-Type must be application/json.")
        message, refusal = answers.checked(body)
        if refusal:
            return refusal
        return self._next(message["token"]) or self._accept(message)

    def _next(self, token: str) -> Script | None:
        with self._lock:
            waiting = self._scripts.get(token)
            return waiting.popleft() if waiting else None

    def _sign_in(self, body: bytes) -> Answer:
        form = parse_qs(body.decode("ascii", "replace"))
        try:
            claims = jwt.decode(
                form["assertion"][0], self._key.public_key(), algorithms=["RS256"], audience=AUDIENCE
            )
        except (KeyError, jwt.PyJWTError) as error:
            return answers.invalid_grant(f"Invalid JWT: {error}")
        if form.get("grant_type") != [GRANT] or claims.get("iss") != ACCOUNT:
            return answers.invalid_grant("Not a service account of this stand-in")
        access = uuid4().hex
        with self._lock:
            self.sign_ins += 1
            self._access_tokens.add(access)
        return 200, {"access_token": access, "expires_in": self.expires_in, "token_type": "Bearer"}, {}

    def _accept(self, message: dict[str, Any]) -> Answer:
        with self._lock:
            self.messages.append(message)
        if self._on_message:
            self._on_message(message)
        return 200, {"name": f"projects/{self.project_id}/messages/{uuid4().hex}"}, {}


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], stand_in: FcmStandIn) -> None:
        self.stand_in = stand_in
        self.open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.stand_in.connections += 1
        self.open.add(request)
        super().process_request(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        super().finish()

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            return

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        scripted = self.server.stand_in.answer(self.path, self.headers, body)
        if isinstance(scripted, str):
            if scripted == "stall":
                self.server.stand_in.stalled += 1
                self.server.stand_in.stopped.wait(60)
            self.close_connection = True
            return
        status, content, headers = scripted
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json; charset=UTF-8", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        return
