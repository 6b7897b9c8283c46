"""One POST to a receiver nobody here knows: to a checked address, bounded in time and size, never redirected."""

import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

from notifier.lib.http import address_guard

CONNECT_SECONDS = 3.0
TOTAL_SECONDS = 15.0
ANSWER_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`status`: the receiver's, None where there was none and `code` says why."""

    status: int | None = None
    code: str = ""
    detail: str = ""
    retry_after: str = ""
    seconds: float = 0.0


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """What came of it; raises nothing that a network or a receiver can bring about."""
    began = time.monotonic()
    try:
        answer = _post(address_guard.parse(url), body, headers, deadline=began + TOTAL_SECONDS)
    except address_guard.Refused as error:
        answer = Answer(code=error.code, detail=str(error))
    except address_guard.Unresolved as error:
        answer = Answer(code="name_not_resolved", detail=str(error))
    except ssl.SSLError as error:
        answer = Answer(code="tls_failed", detail=str(error))
    except TimeoutError as error:
        answer = Answer(code="timeout", detail=str(error))
    except OSError as error:
        answer = Answer(code="connection_failed", detail=str(error))
    except (HTTPException, ValueError) as error:
        answer = Answer(code="unreadable_answer", detail=f"{type(error).__name__}: {error}")
    return Answer(
        status=answer.status,
        code=answer.code,
        # A receiver's words: PostgreSQL has no NUL.
        detail=answer.detail.replace("\0", ""),
        retry_after=answer.retry_after.replace("\0", ""),
        seconds=time.monotonic() - began,
    )


def _post(
    target: address_guard.Target, body: bytes, headers: Mapping[str, str], *, deadline: float
) -> Answer:
    found = address_guard.resolve(target, patience=deadline - time.monotonic())
    sock = _connected(found, deadline)
    try:
        if target.secure:
            sock.settimeout(_left(deadline))
            sock = _tls().wrap_socket(sock, server_hostname=target.host)
        sock.settimeout(_left(deadline))
        connection = HTTPConnection(target.host, target.port)
        connection.sock = sock
        everything = {
            "Host": target.authority,
            "User-Agent": "Notifier",
            "Content-Type": "application/json",
            "Connection": "close",
            **headers,
        }
        connection.request("POST", target.path, body, everything)
        response = HTTPResponse(_Reader(sock, deadline), method="POST")  # type: ignore[arg-type]
        response.begin()
        said = "" if 200 <= response.status < 300 else _words(response)
        return Answer(
            status=response.status,
            code=f"http_{response.status}",
            detail=said,
            retry_after=response.headers.get("Retry-After", ""),
        )
    finally:
        sock.close()


def _words(response: HTTPResponse) -> str:
    try:
        return response.read(ANSWER_BYTES).decode("utf-8", "replace")
    except (OSError, HTTPException):
        # The status has said what matters.
        return ""


def _connected(found: list[tuple[Any, ...]], deadline: float) -> socket.socket:
    """A socket to the first of the checked addresses that answers; the name is not looked up again."""
    by = min(deadline, time.monotonic() + CONNECT_SECONDS)
    error: OSError = TimeoutError("No address answered in time.")
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(_left(by))
            sock.connect(address)
            return sock
        except OSError as refused:
            error = refused
            sock.close()
    raise error


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("The receiver took too long.")
    return left


class _Reader(io.RawIOBase):
    """What a receiver sends, until the deadline: a socket's own timeout begins anew with every byte."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv_into(buffer)
