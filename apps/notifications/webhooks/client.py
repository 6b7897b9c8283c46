"""One POST to a receiver nobody here knows: to a checked address, bounded in time and size, never redirected."""

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass

from notifier.lib.http import address_guard, client

CONNECT_SECONDS = 3.0
TOTAL_SECONDS = 15.0
DETAIL_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`status`: the receiver's, None where there was none and `code` says why. `detail`: the first
    `DETAIL_BYTES` of a refusal's body, or what kept it from coming. `seconds`: how long it took."""

    status: int | None = None
    code: str = ""
    detail: str = ""
    retry_after: str = ""
    seconds: float = 0.0


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """What came of it; raises nothing that a network or a receiver can cause."""
    began = time.monotonic()
    try:
        answer = _post(address_guard.parse(url), body, headers, until=began + TOTAL_SECONDS)
        code, status = f"http_{answer.status}", answer.status
        detail = answer.body.decode("utf-8", "replace")
        retry_after = answer.headers.get("retry-after", "")
    except (address_guard.Refused, address_guard.Unresolved, client.HttpError) as error:
        code, status, detail, retry_after = _code_of(error), None, str(error), ""
    return Answer(
        status=status,
        code=code,
        # PostgreSQL can't store NUL.
        detail=detail.replace("\0", ""),
        retry_after=retry_after.replace("\0", ""),
        seconds=time.monotonic() - began,
    )


def _post(
    target: address_guard.Target, body: bytes, headers: Mapping[str, str], *, until: float
) -> client.Answer:
    return client.post_once(
        address_guard.resolve(target, patience=until - time.monotonic()),
        host=target.host,
        secure=target.secure,
        path=target.path,
        headers={
            "Host": target.authority,
            "User-Agent": "Notifier",
            "Content-Type": "application/json",
            "Connection": "close",
            **headers,
        },
        body=body,
        connect_until=min(until, time.monotonic() + CONNECT_SECONDS),
        until=until,
        # A success says all with its status.
        wanted=lambda status: 0 if 200 <= status < 300 else DETAIL_BYTES,
    )


def _code_of(error: Exception) -> str:
    match error:
        case address_guard.Refused():
            return error.code
        case address_guard.Unresolved():
            return "name_not_resolved"
        case client.Unreadable():
            return "unreadable_answer"
    if isinstance(error, client.ReadTimedOut) or isinstance(error.__cause__, TimeoutError):
        return "timeout"
    return "tls_failed" if isinstance(error.__cause__, ssl.SSLError) else "connection_failed"
