"""A receiver of callbacks: responds by a script, and records the calls."""

import ssl
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from standardwebhooks.webhooks import Webhook


@dataclass(frozen=True)
class Call:
    path: str
    headers: dict[str, str]
    body: bytes

    def verified(self, secret: str) -> Any:
        """The event; raises WebhookVerificationError."""
        return Webhook(secret).verify(self.body, self.headers)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Say:
    """One answer. `raw`: that and nothing else. `drip`: seconds between the bytes of a header that never ends;
    `hold`: wait for it first."""

    status: int = 204
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    drip: float = 0.0
    cut: bool = False
    hold: threading.Event | None = None
    raw: bytes = b""


class Receiver:
    """`script`: the answers of the next calls, in order; after them `always`."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.calls: list[Call] = []
        self.script: list[Say] = []
        self.always = Say()
        self._ended = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.calls.append(
                    Call(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                )
                receiver._answer(self, receiver.script.pop(0) if receiver.script else receiver.always)

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            # A handshake that fails is the client's affair.
            self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._server.server_port}/hooks?from=notifier"

    def _answer(self, handler: BaseHTTPRequestHandler, say: Say) -> None:
        if say.hold is not None:
            say.hold.wait(300)
        if say.cut:
            handler.close_connection = True
            return
        if say.raw:
            handler.wfile.write(say.raw)
            handler.close_connection = True
            return
        if say.drip:
            try:
                handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not self._ended.is_set():
                    handler.wfile.write(b"x")
                    handler.wfile.flush()
                    time.sleep(say.drip)
            except OSError:
                handler.close_connection = True
                return
        handler.send_response(say.status)
        for name, value in say.headers:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(say.body)))
        handler.end_headers()
        handler.wfile.write(say.body)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
