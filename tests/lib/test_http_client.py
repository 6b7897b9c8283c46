"""The HTTP client: every framing of a response, responses cut at every octet, and no request sent twice."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.lib.http.client import (
    ANSWER_LIMIT,
    Answer,
    HttpPool,
    Interrupted,
    NotConnected,
    PoolExhausted,
    ReadTimedOut,
    Unreadable,
    post_once,
)
from tests.conftest import wait_until

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Word: a\r\n\r\nok"


class Server:
    """Answers each request with the next of `answers`: octets to write and pauses (numbers, in seconds), and whether
    to close the connection then."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.answers: list[tuple[list[bytes | float], bool]] = []
        self.requests: list[bytes] = []
        self.connections = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            while True:
                request = b""
                while b"\r\n\r\n" not in request or not request.endswith(b"!"):
                    octets = connection.recv(4096)
                    if not octets:
                        return
                    request += octets
                self.requests.append(request)
                pieces, close = self.answers.pop(0)
                for piece in pieces:
                    if isinstance(piece, float):
                        time.sleep(piece)
                        continue
                    try:
                        connection.sendall(piece)
                    except OSError:
                        return
                if close:
                    return


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.listener.close()


@pytest.fixture
def pool(server: Server) -> Iterator[HttpPool]:
    pool = HttpPool(server.url, size=2, connect_timeout=5, read_timeout=10)
    yield pool
    pool.close()


def ask(pool: HttpPool, server: Server, *pieces: bytes | float, close: bool = False):
    server.answers.append((list(pieces), close))
    return pool.post("/path", b"body!", "X-Own: yes\r\n", commit=lambda: True)


def test_the_request_and_the_response(server, pool):
    answer = ask(pool, server, PLAIN)
    assert (answer.status, answer.headers["x-word"], answer.body) == (200, "a", b"ok")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"POST /path HTTP/1.1"
    assert b"X-Own: yes" in head
    assert b"Content-Length: 5" in head
    assert body == b"body!"


@pytest.mark.parametrize(
    ("octets", "close", "reused"),
    [
        (PLAIN, False, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", False, True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", False, False),
        (b"HTTP/1.1 200 OK\r\n\r\nok", True, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", True, False),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN, False, True),
    ],
    ids=["a length", "chunks", "a length and the end", "the end alone", "1.0", "after an interim answer"],
)
def test_every_framing_of_a_response(server, pool, octets, close, reused):
    for _ in range(2):
        answer = ask(pool, server, octets, close=close)
        assert (answer.status, answer.body) == (200, b"ok")
    assert server.connections == (1 if reused else 2)


@pytest.mark.parametrize("at", range(1, len(PLAIN)))
def test_a_response_that_is_cut_anywhere_is_interrupted(server, pool, at):
    with pytest.raises(Interrupted):
        ask(pool, server, PLAIN[:at], close=True)
    assert len(server.requests) == 1
    # Sent in two pieces, it is the same response.
    assert ask(pool, server, PLAIN[:at], 0.001, PLAIN[at:]).body == b"ok"


def test_a_connection_that_the_server_closed_meanwhile_is_not_used(server, pool):
    ask(pool, server, PLAIN, close=True)
    time.sleep(0.3)
    assert ask(pool, server, PLAIN).body == b"ok"
    assert server.connections == 2


def test_a_connection_that_was_quiet_for_long_is_not_used(server, pool, monkeypatch):
    ask(pool, server, PLAIN)
    monkeypatch.setattr("notifier.lib.http.client.IDLE_SECONDS", 0.0)
    assert ask(pool, server, PLAIN).body == b"ok"
    assert server.connections == 2


def test_a_trickling_response_does_not_extend_the_timeout(server):
    pool = HttpPool(server.url, size=1, connect_timeout=5, read_timeout=0.5)
    began = time.monotonic()
    with pytest.raises(ReadTimedOut):
        ask(pool, server, *[piece for octet in PLAIN for piece in (bytes([octet]), 0.1)])
    assert time.monotonic() - began < 3
    pool.close()


def test_an_endless_response_is_limited(server, pool):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n"
    with pytest.raises(Interrupted, match="larger"):
        ask(pool, server, head, b"x" * (ANSWER_LIMIT + 1), close=True)


def test_a_refused_commit_writes_nothing_and_keeps_the_connection(server, pool):
    assert pool.post("/", b"body!", "", commit=lambda: False) is None
    assert ask(pool, server, PLAIN).body == b"ok"
    assert (server.connections, len(server.requests)) == (1, 1)


def test_a_refused_connection_raises_before_commit():
    committed = []
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    pool = HttpPool(url, size=1, connect_timeout=0.5, read_timeout=0.5)
    with pytest.raises(NotConnected):
        pool.post("/", b"body!", "", commit=lambda: committed.append(True) or True)
    assert not committed


def test_no_more_connections_than_allowed(server, monkeypatch):
    monkeypatch.setattr("notifier.lib.http.client.POOL_SECONDS", 0.05)
    pool = HttpPool(server.url, size=1, connect_timeout=5, read_timeout=10)
    server.answers.append(([2.0, PLAIN], False))
    first = threading.Thread(target=pool.post, args=("/", b"body!", ""), kwargs={"commit": lambda: True})
    first.start()
    wait_until(lambda: server.requests)
    with pytest.raises(PoolExhausted):
        pool.post("/", b"body!", "", commit=lambda: True)
    first.join()
    assert ask(pool, server, PLAIN).body == b"ok"
    assert server.connections == 1
    pool.close()


@given(st.binary(min_size=1, max_size=200))
def test_garbage_is_an_interruption_or_a_response(octets):
    server = Server()
    pool = HttpPool(server.url, size=1, connect_timeout=5, read_timeout=10)
    try:
        ask(pool, server, octets, close=True)
    except Interrupted:
        pass
    finally:
        pool.close()
        server.listener.close()


def once(server: Server, *, wanted: int = 100, seconds: float = 5.0) -> Answer:
    port = int(server.url.rpartition(":")[2])
    until = time.monotonic() + seconds
    return post_once(
        socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM), host="127.0.0.1", secure=False,
        path="/hook", headers={"Host": "a", "Connection": "close"}, body=b"!", connect_until=until, until=until,
        wanted=lambda status: wanted,
    )  # fmt: skip


class TestPostOnce:
    @pytest.mark.parametrize(
        "raw",
        [
            b"HTTP/1.1 204 No Content\n\n",
            b"HTTP/1.0 204\r\n\r\n",
            b"HTTP/1.1 204 OK\r\nX-Long: a\r\n b\r\n\r\n",
            b"HTTP/1.1 204 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 204 OK\r\nX-Name: \xe9\r\n\r\n",
        ],
    )
    def test_a_server_that_speaks_it_loosely_is_understood(self, server, raw):
        """A success that is not understood would be sent again."""
        server.answers = [([raw], True)]
        assert once(server).status == 204

    def test_no_more_is_read_than_is_wanted(self, server):
        server.answers = [([b"HTTP/1.1 500 No\r\nContent-Length: 1000\r\n\r\n" + b"a" * 1000], True)]
        assert once(server, wanted=10).body == b"a" * 10

    def test_a_success_does_not_wait_for_a_body_that_nobody_wants(self, server):
        server.answers = [([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 30.0], True)]
        began = time.monotonic()
        assert once(server, wanted=0).status == 200
        assert time.monotonic() - began < 5

    @pytest.mark.parametrize(
        ("pieces", "error"),
        [
            ([b"garbage\r\n\r\n"], Unreadable),
            ([b"HTTP/1.1 200", 3.0], ReadTimedOut),
            ([], Interrupted),
        ],
    )
    def test_what_keeps_an_answer_from_coming_is_told_apart(self, server, pieces, error):
        server.answers = [(pieces, True)]
        with pytest.raises(error):
            once(server, seconds=1.0)

    def test_nothing_is_written_where_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        found = socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)
        until = time.monotonic() + 5
        with pytest.raises(NotConnected):
            post_once(
                found, host="127.0.0.1", secure=False, path="/", headers={}, body=b"", connect_until=until,
                until=until, wanted=lambda status: 0,
            )  # fmt: skip
