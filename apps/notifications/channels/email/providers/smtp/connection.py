"""A connected socket to an SMTP server: writes octets, reads replies, and bounds every wait."""

import select
import socket
import ssl
from time import monotonic

from apps.notifications.channels.email.providers.smtp.outcomes import (
    LINE_LIMIT,
    REPLY_LINES,
    Reply,
    read_reply,
)
from apps.notifications.channels.email.providers.smtp.settings import SmtpSettings


def _left(until: float) -> float:
    if (left := until - monotonic()) <= 0:
        raise TimeoutError("no answer in time")
    return left


class Connection:
    """A connected socket. `until`: the time on the monotonic clock by which a whole call ends, however slowly the
    server sends. Every method raises OSError; TimeoutError only where the time ran out."""

    def __init__(self, settings: SmtpSettings, until: float) -> None:
        self._buffer = b""
        self._bound = -1.0
        self.written = 0
        """Octets of the last write that were sent; all of them unless it raised."""
        hosts = [str(a[4][0]) for a in socket.getaddrinfo(settings.host, None, type=socket.SOCK_STREAM)]
        for left in range(len(hosts), 0, -1):
            try:
                self.socket = socket.create_connection((hosts[-left], settings.port), _left(until) / left)
                break
            except OSError:
                if left == 1:
                    raise
        # The final dot is a second small write, which Nagle's algorithm would hold back until a delayed ACK.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        self._poll = select.poll()
        self._poll.register(self.socket, select.POLLIN)

    def secure(self, context: ssl.SSLContext, host: str, until: float) -> None:
        if self._buffer:
            raise ssl.SSLError("the server sent data before TLS began")
        self._wait_until(until)
        self.socket = context.wrap_socket(self.socket, server_hostname=host)

    def write(self, octets: bytes, until: float) -> None:
        self.written = 0
        self._wait_until(until)
        self.written = self.socket.send(octets)
        if self.written < len(octets):
            view = memoryview(octets)
            while self.written < len(octets):
                self._wait_until(until)
                self.written += self.socket.send(view[self.written :])

    def reply(self, until: float) -> Reply:
        lines: list[bytes] = []
        while len(lines) < REPLY_LINES:
            while b"\n" not in self._buffer and len(self._buffer) <= LINE_LIMIT:
                self._wait_until(until)
                if not (octets := self.socket.recv(4096)):
                    raise ConnectionResetError("the server closed the connection")
                self._buffer += octets
            line, _, self._buffer = self._buffer.partition(b"\n")
            lines.append(line.removesuffix(b"\r"))
            if line[3:4] != b"-" or not line[:3].isdigit():
                break
        return read_reply(lines)

    def quiet(self) -> bool:
        """Whether the server has neither sent data nor hung up since its last reply."""
        if not isinstance(self.socket, ssl.SSLSocket):
            return not self._buffer and not self._poll.poll(0)
        self._bound = -1.0
        try:
            self.socket.settimeout(0)
            self._buffer += self.socket.recv(1)
        except OSError as error:
            return not self._buffer and isinstance(error, BlockingIOError | ssl.SSLWantReadError)
        return False

    def _wait_until(self, until: float) -> None:
        """Set the socket's timeout for the next call. With two seconds or more it may be a second too long, which
        saves most calls of `settimeout`."""
        left = _left(until)
        if not left <= self._bound <= left + 1.0 or left < 2.0:
            self._bound = left if left < 2.0 else left + 0.5
            self.socket.settimeout(self._bound)
