"""Probes of services: the greeting and login of their own protocol, not only an open port.

Standard library alone, because `scripts/services` runs before anything is installed. Each function returns
when the service accepted the URL's credentials, and raises `NoAnswer` (with one sentence) or `OSError` otherwise.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
import struct
from urllib.parse import SplitResult, unquote, urlsplit

STEP = 2.0  # seconds for each read; a healthy local service takes milliseconds


class NoAnswer(Exception):
    """A server responds, but it cannot be used. `code` is PostgreSQL's SQLSTATE where it sent one."""

    def __init__(self, sentence: str, code: str = "") -> None:
        super().__init__(sentence)
        self.code = code


def redis(url: str, command: str = "") -> None:
    """Logs in and pings, and runs `command` (one word) if given."""
    parts = _parse(url, "redis")
    with _connect(parts, 6379) as connection:
        if parts.password:
            arguments = [
                "AUTH",
                *([unquote(parts.username)] if parts.username else []),
                unquote(parts.password),
            ]
            if not _redis_call(connection, arguments).startswith(b"+OK"):
                raise NoAnswer("Redis refuses the password")
        answer = _redis_call(connection, ["PING"])
        if answer != b"+PONG\r\n":
            raise NoAnswer(f"Redis answered PING with {answer[:60]!r}")
        if command and not (answer := _redis_call(connection, [command])).startswith(b"+"):
            raise NoAnswer(f"Redis answered {command} with {answer[:60]!r}")


def amqp(url: str) -> None:
    parts = _parse(url, "amqp")
    with _connect(parts, 5672) as connection:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        if (method := _amqp_method(connection)) != (10, 10):
            raise NoAnswer(f"no AMQP Connection.Start but method {method}")
        login = f"\0{unquote(parts.username or 'guest')}\0{unquote(parts.password or 'guest')}".encode()
        # Without this capability a refused login is answered with silence.
        wish = b"\x1cauthentication_failure_closet\x01"
        properties = b"\x0ccapabilitiesF" + struct.pack("!I", len(wish)) + wish
        arguments = struct.pack("!HHI", 10, 11, len(properties)) + properties  # Start-Ok
        arguments += b"\x05PLAIN" + struct.pack("!I", len(login)) + login + b"\x05en_US"
        connection.sendall(struct.pack("!BHI", 1, 0, len(arguments)) + arguments + b"\xce")
        if (method := _amqp_method(connection)) != (10, 30):
            raise NoAnswer(f"RabbitMQ refuses the credentials (method {method})")


def postgres(url: str, sql: str = "") -> None:
    """Logs in, and runs `sql` if given."""
    parts = _parse(url, "postgres", "postgresql")
    user, database = unquote(parts.username or "postgres"), unquote(parts.path.lstrip("/"))
    with _connect(parts, 5432) as connection:
        hello = struct.pack("!I", 196608) + f"user\0{user}\0database\0{database or user}\0\0".encode()
        connection.sendall(struct.pack("!I", len(hello) + 4) + hello)
        _postgres_login(connection, user, unquote(parts.password or ""))
        _postgres_until_ready(connection)
        if sql:
            _postgres_send(connection, b"Q", sql.encode() + b"\0")
            _postgres_until_ready(connection)
        _postgres_send(connection, b"X", b"")


def _parse(url: str, *schemes: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in schemes:
        raise NoAnswer(f"the address does not begin with {schemes[0]}://")
    return parts


def _connect(parts: SplitResult, port: int) -> socket.socket:
    connection = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or port), timeout=STEP)
    connection.settimeout(STEP)
    return connection


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not (piece := connection.recv(size - len(data))):
            raise NoAnswer("the connection was closed in the middle of the greeting")
        data += piece
    return data


def _redis_call(connection: socket.socket, arguments: list[str]) -> bytes:
    encoded = [word.encode() for word in arguments]
    connection.sendall(
        b"*%d\r\n" % len(arguments) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in encoded)
    )
    answer = b""
    while not answer.endswith(b"\r\n"):
        answer += _exactly(connection, 1)
    return answer


def _amqp_method(connection: socket.socket) -> tuple[int, int]:
    kind, _, size = struct.unpack("!BHI", _exactly(connection, 7))
    # A server of another AMQP version answers with its own protocol header, whose first byte is "A".
    if kind != 1:
        raise NoAnswer("no AMQP 0-9-1 frame")
    class_id, method_id = struct.unpack("!HH", _exactly(connection, size + 1)[:4])
    return class_id, method_id


def _postgres_send(connection: socket.socket, kind: bytes, body: bytes) -> None:
    connection.sendall(kind + struct.pack("!I", len(body) + 4) + body)


def _postgres_read(connection: socket.socket) -> tuple[bytes, bytes]:
    kind, size = struct.unpack("!cI", _exactly(connection, 5))
    if kind not in b"RESKZCTDNI":
        raise NoAnswer("no PostgreSQL message")
    body = _exactly(connection, size - 4)
    if kind == b"E":
        fields = {chr(field[0]): field[1:].decode(errors="replace") for field in body.split(b"\0") if field}
        raise NoAnswer(f"PostgreSQL says: {fields.get('M', 'error')}", fields.get("C", ""))
    return kind, body


def _postgres_until_ready(connection: socket.socket) -> None:
    while _postgres_read(connection)[0] != b"Z":
        pass


def _postgres_login(connection: socket.socket, user: str, password: str) -> None:
    method, body = _authentication(connection)
    if method != 0 and not password:
        raise NoAnswer(f"PostgreSQL asks for the password of {user}", "28P01")
    if method == 3:
        _postgres_send(connection, b"p", password.encode() + b"\0")
    elif method == 5:
        inner = hashlib.md5(password.encode() + user.encode(), usedforsecurity=False).hexdigest()
        outer = hashlib.md5(inner.encode() + body, usedforsecurity=False).hexdigest()
        _postgres_send(connection, b"p", b"md5" + outer.encode() + b"\0")
    elif method == 10:
        _scram(connection, password)
    elif method != 0:
        raise NoAnswer(f"PostgreSQL asks for authentication method {method}", "28000")
    while method != 0:
        method, _ = _authentication(connection)


def _authentication(connection: socket.socket) -> tuple[int, bytes]:
    kind, body = _postgres_read(connection)
    if kind != b"R":
        raise NoAnswer("no PostgreSQL greeting")
    return struct.unpack("!I", body[:4])[0], body[4:]


def _scram(connection: socket.socket, password: str) -> None:
    """SCRAM-SHA-256 (RFC 5802, 7677) without channel binding; the server's own proof is not checked."""
    first = "n=,r=" + secrets.token_urlsafe(18)
    opening = ("n,," + first).encode()
    _postgres_send(connection, b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(opening)) + opening)
    challenge = _authentication(connection)[1].decode()
    attributes = dict(item.split("=", 1) for item in challenge.split(","))
    salted = hashlib.pbkdf2_hmac(
        "sha256", password.encode(), base64.b64decode(attributes["s"]), int(attributes["i"])
    )
    key = hmac.digest(salted, b"Client Key", "sha256")
    final = f"c=biws,r={attributes['r']}"
    signed = f"{first},{challenge},{final}".encode()
    signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True))).decode()
    _postgres_send(connection, b"p", f"{final},p={proof}".encode())
