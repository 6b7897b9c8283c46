"""A receiver of callbacks: responds by a script, and records the calls."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
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
    """One answer. `raw`: that and nothing else. `drip`: seconds between the bytes of a header that never ends, or
    ends with the connection after `drip_for` seconds; `hold`: wait for it first."""

    status: int = 204
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    drip: float = 0.0
    drip_for: float = 300.0
    cut: bool = False
    hold: threading.Event | None = None
    raw: bytes = b""


class Receiver:
    """`script`: the answers of the next calls, in order; after them `always`, or what `choose` makes of a call.
    `keeps`: a connection serves for several calls."""

    def __init__(self, certificate: Path | None = None, *, keeps: bool = False) -> None:
        self.calls: list[Call] = []
        self.script: list[Say] = []
        self.always = Say()
        self.choose: Callable[[Call], Say] | None = None
        self._ended = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1" if keeps else "HTTP/1.0"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                call = Call(self.path, headers, body)
                receiver.calls.append(call)
                say = receiver.choose(call) if receiver.choose else receiver.always
                receiver._answer(self, receiver.script.pop(0) if receiver.script else say)

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._connections: set[socket.socket] = set()
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            # A handshake that fails is the client's affair.
            self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._server.server_port}/hooks?from=notifier"

    def hang_up(self) -> None:
        """Close every connection."""
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, handler: BaseHTTPRequestHandler, say: Say) -> None:
        self._connections.add(handler.connection)
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
            ends = time.monotonic() + say.drip_for
            handler.close_connection = True
            with suppress(OSError):
                handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not self._ended.is_set() and time.monotonic() < ends:
                    handler.wfile.write(b"x")
                    handler.wfile.flush()
                    time.sleep(say.drip)
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
        self.hang_up()
        self._server.server_close()
