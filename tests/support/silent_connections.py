"""Clients that hold connections open: they send no body, or do not read the response."""

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LARGE = "/static/drf_spectacular_sidecar/redoc/bundles/redoc.standalone.js.map"
"""A file of 3.9 MB, for which nobody asks for a key."""
ADDRESSES = 10
"""Of so many addresses of the loopback network, as if they were so many callers."""


class Silent:
    """Connections to a local port, each of which sends a request and then nothing more."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sockets: list[socket.socket] = []
        self.began = time.monotonic()

    def bodies(self, count: int, *, addresses: int = ADDRESSES) -> list[socket.socket]:
        """Send the headers of a POST without its body."""
        head = (
            b"POST /api/v1/notifications/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n"
        )
        return [self._open(n % addresses, head) for n in range(count)]

    @contextmanager
    def trickling(self, count: int) -> Iterator[list[socket.socket]]:
        """The same, and then one byte of the body a second."""
        held, ended = self.bodies(count), threading.Event()

        def trickle() -> None:
            while not ended.wait(1):
                for one in held:
                    try:
                        one.send(b"{")
                    except OSError:
                        # Closed, as it may be.
                        continue

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            yield held
        finally:
            ended.set()
            thread.join()

    def unread(
        self, count: int, *, path: str = LARGE, key: str = "", at_once: int = 4, addresses: int = ADDRESSES
    ) -> list[socket.socket]:
        """Answers that come and aren't read. Each waits for those before it to begin, `at_once` aside: what is
        meant is what it costs to hold them, not to make them."""
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n".encode()
        head += f"Authorization: Api-Key {key}\r\n\r\n".encode() if key else b"\r\n"
        held: list[socket.socket] = []
        for n in range(count):
            if n >= at_once:
                select.select([held[n - at_once]], [], [], 5)
            held.append(self._open(n % addresses, head, receive=4096))
        return held

    def address(self, n: int) -> str:
        return f"127.0.0.{10 + n}"

    def close(self) -> None:
        for one in self.sockets:
            one.close()

    def _open(self, address: int, octets: bytes, receive: int = 0) -> socket.socket:
        one = socket.socket()
        self.sockets.append(one)
        if receive:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        one.bind((self.address(address), 0))
        one.settimeout(10)
        one.connect(("127.0.0.1", self.port))
        one.sendall(octets)
        return one


def closed(held: list[socket.socket]) -> int:
    """How many of them the other side has ended; nothing is read."""
    poll = select.poll()
    for one in held:
        poll.register(one, select.POLLRDHUP)
    return sum(1 for _, what in poll.poll(0) if what & (select.POLLRDHUP | select.POLLHUP | select.POLLERR))


@contextmanager
def silent(port: int) -> Iterator[Silent]:
    callers = Silent(port)
    try:
        yield callers
    finally:
        callers.close()
