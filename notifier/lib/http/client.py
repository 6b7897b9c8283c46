"""HTTP/1.1 POST requests, none of them ever sent twice; every wait is bounded by a moment of the monotonic clock.

`HttpPool` keeps a few connections to one server that we know, and parses its answers strictly, with llhttp: general
clients written in Python spend several times as much on a request, and libcurl repeats a POST by itself (ADR 14).
`post_once` makes a connection of its own to an address that its caller has checked, and reads the answer of a server
that nobody here knows as leniently as Python's http.client does, and no more of it than is wanted. Both connect,
write and fail in the same way, and each error says how far the request had come:

    HttpError
    ├── NotConnected    nothing was written
    ├── PoolExhausted   nothing was written: every connection is in use
    └── Interrupted     the request may have arrived
        ├── ReadTimedOut
        └── Unreadable  the answer is not HTTP, or too large
"""

import http.client
import io
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httptools

POOL_SECONDS = 2.0
"""How long to wait for one of the connections."""
IDLE_SECONDS = 60.0
"""How long an unused connection is kept."""
ANSWER_LIMIT = 1024 * 1024
"""Bytes of an answer."""
READ_SIZE = 16 * 1024


class HttpError(Exception):
    pass


class NotConnected(HttpError):
    pass


class PoolExhausted(HttpError):
    pass


class Interrupted(HttpError):
    pass


class ReadTimedOut(Interrupted):
    pass


class Unreadable(Interrupted):
    pass


class Answer(NamedTuple):
    """`headers`: by lower-case name, the last of several."""

    status: int
    headers: dict[str, str]
    body: bytes


Address = tuple[Any, ...]
"""As `socket.getaddrinfo` returns it."""


def connect(
    addresses: Sequence[Address], *, until: float, tls: ssl.SSLContext | None, host: str, tls_until: float
) -> socket.socket:
    """A socket to the first of these addresses that answers, with TLS for `host` if a context is given. Raises
    NotConnected, whose cause tells a time that ran out (TimeoutError) and TLS (SSLError) apart."""
    failed: OSError = TimeoutError("no address answered in time")
    for family, kind, protocol, _, address in addresses:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(_left(until))
            connection.connect(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            connection.close()
            failed = error
            continue
        if tls is None:
            return connection
        try:
            connection.settimeout(_left(tls_until))
            return tls.wrap_socket(connection, server_hostname=host)
        except OSError as error:
            connection.close()
            raise NotConnected(str(error)) from error
    raise NotConnected(str(failed)) from failed


def post_once(
    addresses: Sequence[Address],
    *,
    host: str,
    secure: bool,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    connect_until: float,
    until: float,
    wanted: Callable[[int], int],
) -> Answer:
    """The answer to one POST over a connection of its own. `addresses`: what `host` resolved to and the caller
    has checked; the name is not looked up again. `wanted`: how many bytes of the body to read, by the answer's
    status; what can't be read of them is left out. Raises NotConnected, Interrupted."""
    connection = connect(
        addresses, until=connect_until, tls=_verifying() if secure else None, host=host, tls_until=until
    )
    try:
        connection.settimeout(_left(until))
        request = http.client.HTTPConnection(host, 80)
        request.sock = connection
        request.request("POST", path, body, dict(headers))
        response = http.client.HTTPResponse(_UntilReader(connection, until), method="POST")  # type: ignore[arg-type]
        response.begin()
        return Answer(
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            _read_body(response, wanted(response.status)),
        )
    except TimeoutError as error:
        raise ReadTimedOut("no answer in time") from error
    except OSError as error:
        raise Interrupted(str(error)) from error
    except (http.client.HTTPException, ValueError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


def _read_body(response: http.client.HTTPResponse, size: int) -> bytes:
    try:
        return response.read(size) if size else b""
    except (OSError, http.client.HTTPException):
        # The status has said what matters.
        return b""


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left


@cache
def _verifying() -> ssl.SSLContext:
    return ssl.create_default_context()


class _UntilReader(io.RawIOBase):
    """What a server sends, until a moment: a socket's own timeout begins anew with every byte."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._connection, self._until = connection, until

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(_left(self._until))
        return self._connection.recv_into(buffer)


class _Reading:
    """What the parser tells of one answer."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []
        self.status = self.size = 0
        self.begun = self.complete = self.keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        self.size += len(name) + len(value)

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()
        self.begun = True

    def on_body(self, data: bytes) -> None:
        self.body.append(data)
        self.size += len(data)

    def on_message_complete(self) -> None:
        if self.status < 200:
            # An interim answer: the real one follows.
            self.headers, self.begun = {}, False
            return
        self.complete, self.keep = True, self.parser.should_keep_alive()

    def ended(self) -> bool:
        """Whether the answer is whole now that the server has closed: one without a length ends so."""
        framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        return self.begun and not framed


class HttpPool:
    """Connections to one server, safe to share between threads. Times are seconds."""

    def __init__(self, base_url: str, *, size: int, connect_timeout: float, read_timeout: float) -> None:
        parts = urlsplit(base_url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._connect_timeout, self._read_timeout = connect_timeout, read_timeout
        self._slots = threading.Semaphore(size)
        self._kept: deque[tuple[float, socket.socket]] = deque()
        """Each with when it was last used, that one last."""
        self._head = f"Host: {parts.netloc.rpartition('@')[2]}\r\nAccept: */*\r\nUser-Agent: notifier\r\n"

    def post(self, path: str, body: bytes, headers: str, *, commit: Callable[[], bool]) -> Answer | None:
        """The server's answer. `headers`: lines that each end in CR LF. Raises HttpError.

        `commit` is asked once there is a connection and right before the first byte; None if it refuses.
        """
        if not self._slots.acquire(timeout=POOL_SECONDS):
            raise PoolExhausted("every connection is in use")
        try:
            connection = self._connection()
            if not commit():
                self._keep(connection)
                return None
            head = f"POST {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n{headers}\r\n"
            kept = False
            try:
                answer, kept = self._exchange(connection, head.encode("latin-1") + body)
            finally:
                if kept:
                    self._keep(connection)
                else:
                    connection.close()
            return answer
        finally:
            self._slots.release()

    def close(self) -> None:
        """Hang up what is kept; connections in use are hung up or kept by their users."""
        while self._kept:
            self._kept.pop()[1].close()

    def _keep(self, connection: socket.socket) -> None:
        self._kept.append((time.monotonic(), connection))

    def _connection(self) -> socket.socket:
        while True:
            try:
                used_at, connection = self._kept.pop()
            except IndexError:
                return self._connect()
            # A gateway on the way forgets a connection that was quiet for minutes, and tells nobody.
            if time.monotonic() - used_at < IDLE_SECONDS and not _has_word(connection):
                return connection
            # Closed by the server meanwhile, or something is said that nobody asked for.
            connection.close()

    def _connect(self) -> socket.socket:
        until = time.monotonic() + self._connect_timeout
        try:
            addresses = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise NotConnected(str(error)) from error
        return connect(addresses, until=until, tls=self._tls, host=self._host, tls_until=until)

    def _exchange(self, connection: socket.socket, request: bytes) -> tuple[Answer, bool]:
        """The answer, and whether the connection serves for another request."""
        reading = _Reading()
        ends = time.monotonic() + self._read_timeout
        try:
            connection.settimeout(self._read_timeout)
            connection.sendall(request)
            while not reading.complete:
                octets = connection.recv(READ_SIZE)
                if not octets:
                    if reading.ended():
                        break
                    raise Interrupted("the server closed the connection before its answer was complete")
                reading.parser.feed_data(octets)
                if reading.size > ANSWER_LIMIT:
                    raise Unreadable(f"the answer is larger than {ANSWER_LIMIT} bytes")
                if not reading.complete:
                    connection.settimeout(_left(ends))
        except TimeoutError as error:
            raise ReadTimedOut("no answer in time") from error
        except OSError as error:
            raise Interrupted(str(error)) from error
        except httptools.HttpParserError as error:
            raise Unreadable(f"the answer is not HTTP: {error}") from error
        return Answer(reading.status, reading.headers, b"".join(reading.body)), reading.keep


def _has_word(connection: socket.socket) -> bool:
    """Whether there is something to read, or the connection's end."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
