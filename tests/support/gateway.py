"""A way to a TCP server that a test cuts, opens again, or stops at a word."""

import socket
import threading
from contextlib import suppress
from typing import Self


class Gateway:
    """`hold`: once a client sends it, neither that nor what follows goes on to the server; `held` is set then."""

    def __init__(self, host: str, port: int, *, hold: bytes = b"") -> None:
        self._target = (host, port)
        self._hold = hold
        self.held = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open = True
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        # shutdown wakes the thread that waits in accept.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def cut(self) -> None:
        """End all connections, and each new one at once."""
        self._open = False
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        self._open = True

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._open:
                client.close()
                continue
            server = socket.create_connection(self._target)
            self._sockets += [client, server]
            threading.Thread(target=self._copy, args=(client, server, self._hold), daemon=True).start()
            threading.Thread(target=self._copy, args=(server, client, b""), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, hold: bytes) -> None:
        with suppress(OSError):
            while octets := source.recv(65536):
                if hold and hold in octets:
                    self.held.set()
                    return
                sink.sendall(octets)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
