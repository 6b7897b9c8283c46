"""What providers of SMS have in common: one POST a text, an answer of HTTP, a key from a URL or a file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlsplit

from apps.notifications.channels.outcome import DETAIL_LIMIT, MayCommit, Outcome, Result
from apps.notifications.channels.sms.message import SmsMessage
from notifier.lib.http.client import Answer, HttpPool, Interrupted, NotConnected, PoolExhausted, ReadTimedOut
from notifier.lib.http.retry_after import retry_after

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 15.0
CONNECTIONS = 32
"""At least one for each sender thread."""
THROTTLED_SECONDS = 30.0
"""To wait after a 429 without Retry-After."""
SERVER_SECONDS = 10.0
"""To wait at least after a server's error."""
_OURS = {
    401: "unauthenticated",
    403: "permission_denied",
    404: "not_found",
    405: "not_found",
    407: "proxy_refused",
}


class Request(NamedTuple):
    """`path`: with its query, percent-encoded."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class Dialect(Protocol):
    """What one kind of gateway speaks; pure.

    `secrets`: what no detail may repeat, keys and the forms in which they go over the wire.
    """

    base_url: str
    secrets: tuple[str, ...]

    def request(self, message: SmsMessage) -> Request: ...

    def outcome_of(self, answer: Answer, body: Any, message: SmsMessage) -> Outcome | None:
        """What the gateway's own words say, `body` being the answer's as JSON, None if it is none; None where the
        status alone decides."""


class Gateway:
    """Thread-safe. One request a text, and no retry."""

    def __init__(self, name: str, dialect: Dialect, *, timeout: float) -> None:
        self.name = name
        self._dialect = dialect
        self._pool = HttpPool(
            dialect.base_url, size=CONNECTIONS, connect_timeout=CONNECT_SECONDS, read_timeout=timeout
        )

    def send(self, message: SmsMessage, *, may_commit: MayCommit) -> Outcome:
        path, headers, body = self._dialect.request(message)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        try:
            answer = self._pool.post(path, body, lines, commit=may_commit)
        except PoolExhausted:
            return Outcome(Result.DEFERRED, "pool_exhausted", "every connection to the gateway is in use")
        except NotConnected as error:
            return Outcome(Result.DEFERRED, "connect_failed", self._detail(error), provider_error=True)
        except Interrupted as error:
            code = "read_timeout" if isinstance(error, ReadTimedOut) else "connection_lost"
            return Outcome(Result.UNKNOWN, code, self._detail(error), provider_error=True)
        if answer is None:
            return Outcome(Result.DEFERRED, "lease_lapsed")
        return self._read(answer, message)

    def close(self) -> None:
        self._pool.close()

    def _read(self, answer: Answer, message: SmsMessage) -> Outcome:
        # Before anything is read of it: a gateway may repeat what it was sent.
        answer = answer._replace(body=self._masked(answer.body.decode("utf-8", "replace")).encode())
        try:
            body = json.loads(answer.body)
        except (ValueError, RecursionError):
            body = None
        return self._dialect.outcome_of(answer, body, message) or by_status(answer)

    def _detail(self, error: Exception) -> str:
        return self._masked(str(error))[:DETAIL_LIMIT]

    def _masked(self, text: str) -> str:
        for secret in self._dialect.secrets:
            text = text.replace(secret, "***")
        return text


def by_status(answer: Answer) -> Outcome:
    """What an answer means whose body says nothing else."""
    status, detail = answer.status, detail_of(answer)
    if status in _OURS or 300 <= status < 400:
        code = _OURS.get(status, "redirected")
        return Outcome(Result.CONFIGURATION, code, detail, provider_error=True)
    if status in (408, 425, 429):
        wait = retry_after(answer.headers, default=THROTTLED_SECONDS)
        return Outcome(Result.DEFERRED, "throttled", detail, wait=wait)
    if 400 <= status < 500:
        return Outcome(Result.PERMANENT, "refused", detail)
    if 500 <= status < 600:
        return Outcome(Result.RETRY, "server_error", detail, wait=SERVER_SECONDS, provider_error=True)
    return Outcome(Result.UNKNOWN, "unreadable_answer", detail, provider_error=True)


def detail_of(answer: Answer) -> str:
    text = " ".join(answer.body.decode("utf-8", "replace").split())
    return f"{answer.status} {text}".strip()[:DETAIL_LIMIT]


def options_of(url: str, scheme: str) -> dict[str, str]:
    """The options after the URL's question mark. Raises ValueError."""
    try:
        query = urlsplit(url).query
        return dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        raise ValueError(f"a {scheme} URL's options can't be read (write & in a secret as %26)") from None


def take_secret(options: dict[str, str], scheme: str, name: str) -> tuple[str, str]:
    """Removes `name` and `name_file` from the options: (the secret, the file that has it), one of them empty. Raises
    ValueError with a sentence that repeats none."""
    given, file = options.pop(name, ""), options.pop(f"{name}_file", "")
    if bool(given) == bool(file):
        raise ValueError(f"a {scheme} URL needs either {name}= or {name}_file=")
    return given, file


def take_timeout(options: dict[str, str], scheme: str) -> float:
    """Removes `timeout`: seconds for the answer. Raises ValueError."""
    try:
        timeout = float(options.pop("timeout", ANSWER_SECONDS))
    except ValueError:
        timeout = 0.0
    if not 0 < timeout <= 300:
        raise ValueError(f"a {scheme} URL's timeout= must be a number of seconds up to 300")
    return timeout


def secret_of(given: str, file: str) -> str:
    """The secret itself. Raises OSError where the file can't be read."""
    return given or Path(file).read_text().strip()
