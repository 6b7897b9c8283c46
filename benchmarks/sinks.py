"""The receiving servers: an SMTP server and an FCM that accept and count everything, each in its own process.

    python -m benchmarks.sinks smtp PORT DELAY COUNTER
    python -m benchmarks.sinks fcm PORT DELAY COUNTER

DELAY: seconds before each reply, or each group of pipelined replies. COUNTER: a file with the number of messages
accepted.
"""

import asyncio
import json
import mmap
import struct
import sys
from pathlib import Path


class Counter:
    """A number in a file, which other processes read while it increases."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8)
        self._count = 0

    def add(self) -> None:
        self._count += 1
        struct.pack_into("<q", self._memory, 0, self._count)


def count_in(path: Path) -> int:
    octets = path.read_bytes() if path.exists() else b""
    return int(struct.unpack("<q", octets)[0]) if len(octets) == 8 else 0


class _Connection(asyncio.Protocol):
    def __init__(self, delay: float, counter: Counter) -> None:
        self.delay, self.counter, self.held = delay, counter, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self.transport = transport

    def say(self, octets: bytes) -> None:
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self.transport.write, octets)
        else:
            self.transport.write(octets)


class Smtp(_Connection):
    """ESMTP with PIPELINING; messages are discarded."""

    in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.say(b"220 sink ESMTP\r\n")

    def data_received(self, octets: bytes) -> None:
        self.held += octets
        answers = []
        while True:
            if self.in_data:
                end = self.held.find(b"\r\n.\r\n")
                if end < 0:
                    self.held = self.held[-4:]
                    break
                self.held, self.in_data = self.held[end + 5 :], False
                self.counter.add()
                answers.append(b"250 2.0.0 Ok: queued as 4F2A1\r\n")
                continue
            line, separator, rest = self.held.partition(b"\r\n")
            if not separator:
                break
            self.held = rest
            answers.append(self._answer(line[:4].upper()))
        if answers:
            self.say(b"".join(answers))

    def _answer(self, verb: bytes) -> bytes:
        if verb == b"EHLO":
            return b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 0\r\n"
        if verb == b"DATA":
            self.in_data = True
            return b"354 End data with <CR><LF>.<CR><LF>\r\n"
        return b"221 2.0.0 Bye\r\n" if verb == b"QUIT" else b"250 2.1.0 Ok\r\n"


class Fcm(_Connection):
    """HTTP/1.1 with keep-alive: an access token for each sign-in, a name for each message."""

    def data_received(self, octets: bytes) -> None:
        self.held += octets
        while True:
            head, separator, rest = self.held.partition(b"\r\n\r\n")
            if not separator:
                return
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if len(rest) < length:
                return
            self.held = rest[length:]
            if b"/token" in head.partition(b"\r\n")[0]:
                body = json.dumps(
                    {"access_token": "bench", "expires_in": 3600, "token_type": "Bearer"}
                ).encode()
            else:
                self.counter.add()
                body = b'{"name": "projects/bench/messages/0:1"}'
            self.say(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )


async def serve(kind: str, port: int, delay: float, counter: Counter) -> None:
    made = {"smtp": Smtp, "fcm": Fcm}[kind]
    server = await asyncio.get_running_loop().create_server(
        lambda: made(delay, counter), "127.0.0.1", port, backlog=1024
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), Counter(Path(sys.argv[4]))))
