"""The pure half of the SMTP client: the outcome of a server's reply, or of a missing one.

The reply's first digit decides, the enhanced code refines, the phase decides about suppression. While the session is
being set up no message was tried, so nothing there counts against a message or a recipient.
"""

import re
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from apps.notifications.channels.email import refusals
from apps.notifications.channels.email.refusal_phrases import Meaning
from apps.notifications.channels.email.refusals import GONE
from apps.notifications.channels.outcome import DETAIL_LIMIT, Outcome, Result

LINE_LIMIT = 4096
"""Octets of one reply line; the standard allows 512, real servers send more."""

REPLY_LINES = 100

GREYLIST_WAIT = 300.0
"""Seconds: the usual greylisting period, within which a second attempt is refused again."""


class Phase(StrEnum):
    CONNECT = "connect"
    BANNER = "banner"
    EHLO = "ehlo"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"


SESSION = frozenset({Phase.CONNECT, Phase.BANNER, Phase.EHLO, Phase.TLS, Phase.AUTH})

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
# Some servers put a "#" or a bracket before the code; four numbers in a row are an IP address.
_ENHANCED = re.compile(r"\W{0,2}[245]\.([0-9]{1,3}\.[0-9]{1,3})(?![0-9]|\.[0-9])")
_QUEUED = re.compile(
    r"queued as <?(?P<a>[^\s<>;,]+)|\bid=(?P<b>[^\s<>;,]+)|\bOk (?P<c>[0-9a-f]{16}-[0-9a-f-]{16,})",
    re.IGNORECASE,
)
_AUTH_CODES = frozenset({530, 534, 535, 538})
_THROTTLED = frozenset({"7.28", "7.650"})
_HOST_UNKNOWN = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


@dataclass(frozen=True, slots=True)
class Reply:
    """`code` 0: these bytes are no SMTP reply. `enhanced`: subject and detail ("7.1"), or "".
    `lines`: the server's text, printable characters only."""

    code: int
    enhanced: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(self.lines)

    def extensions(self) -> dict[str, str]:
        """The extensions of an EHLO reply: keyword to parameters, upper case (old servers write `AUTH=LOGIN`)."""
        offers = (line.upper().replace("=", " ").partition(" ") for line in self.lines[1:])
        return {keyword: parameters for keyword, _, parameters in offers}

    def without(self, *secrets: str) -> "Reply":
        """The reply in one line, with these secrets, and the last word of each, masked."""
        text = self.text
        for secret in (part for line in secrets for part in (line, line.split()[-1])):
            text = text.replace(secret, "***")
        return replace(self, lines=(text,))


class Ended(Exception):
    """The send is over, with this outcome."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


class Lost(Ended):
    """The connection was lost before the final dot: on a reused connection that says nothing about the message."""


def printable(text: str) -> str:
    if text.isprintable():
        return " ".join(text.split())
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def read_reply(lines: Sequence[bytes]) -> Reply:
    """Parses a reply's lines, given without line ends. If their codes differ the whole reply is unreadable."""
    return _read(tuple(lines))


# A relay repeats the same few replies.
@lru_cache(maxsize=256)
def _read(lines: tuple[bytes, ...]) -> Reply:
    found = [_LINE.fullmatch(line) if len(line) <= LINE_LIMIT else None for line in lines]
    readable = [match for match in found if match]
    if (
        not readable
        or len(readable) < len(found)
        or len({match[1] for match in readable}) > 1
        or [match[2] == b"-" for match in readable] != [True] * (len(readable) - 1) + [False]
    ):
        return Reply(0, "", tuple(printable(line.decode("utf-8", "replace")) for line in lines))
    texts = tuple(printable((match[3] or b"").decode("utf-8", "replace")) for match in readable)
    enhanced = _ENHANCED.match(texts[0])
    return Reply(int(readable[0][1]), enhanced[1] if enhanced else "", texts)


def describe(phase: Phase, text: str) -> str:
    return f"{phase}: {printable(text)}"[:DETAIL_LIMIT]


def classify(phase: Phase, reply: Reply) -> Outcome:
    """The outcome of a reply that ends a send: every 4xx and 5xx, the 2xx to the final dot, and any reply that is
    unexpected in its phase, which is treated as unreadable."""
    detail = f"{phase}: {reply.code or 'unreadable'} {reply.text}"[:DETAIL_LIMIT]
    first_digit = reply.code // 100
    if first_digit == 2 and phase is Phase.DOT:
        queued = _QUEUED.search(reply.text)
        queue_id = next((group for group in queued.groups() if group), "") if queued else ""
        return Outcome(Result.SENT, "accepted", detail, provider_message_id=queue_id.rstrip(".)")[:200])
    if first_digit not in (4, 5):
        if phase is Phase.DOT:
            # The server has the whole message, and its reply can't be parsed.
            return Outcome(Result.UNKNOWN, "unreadable_reply", detail, provider_error=True)
        return Outcome(Result.RETRY, "unreadable_reply", detail, provider_error=True)
    if first_digit == 4 and (
        reply.enhanced in _THROTTLED or (reply.code == 454 and "throttl" in reply.text.lower())
    ):
        return Outcome(Result.DEFERRED, "throttled", detail)
    if phase in SESSION:
        return _session(phase, reply, detail)
    return _temporary(phase, reply, detail) if first_digit == 4 else _final(phase, reply, detail)


def _session(phase: Phase, reply: Reply, detail: str) -> Outcome:
    if reply.code == 421:
        return Outcome(Result.DEFERRED, "service_closing", detail, provider_error=True)
    if phase is Phase.TLS:
        return Outcome(Result.CONFIGURATION, "tls_failed", detail, provider_error=True)
    if phase is Phase.AUTH and reply.code == 454:
        return Outcome(Result.DEFERRED, "throttled", detail)
    if reply.code < 500:
        return Outcome(Result.DEFERRED, "temporarily_refused", detail, provider_error=True)
    code = "auth_failed" if phase is Phase.AUTH else "session_refused"
    return Outcome(Result.CONFIGURATION, code, detail, provider_error=True)


def _temporary(phase: Phase, reply: Reply, detail: str) -> Outcome:
    if reply.code == 421:
        return Outcome(Result.RETRY, "service_closing", detail, provider_error=True)
    if reply.code in (450, 451) and (
        reply.enhanced == "7.1" or re.search(r"gr[ea]y.?list", reply.text, re.IGNORECASE)
    ):
        return Outcome(Result.RETRY, "greylisted", detail, wait=GREYLIST_WAIT)
    meaning = refusals.meaning(reply.code, reply.enhanced, reply.text)
    if meaning is Meaning.FULL or (meaning is Meaning.DISABLED and phase is Phase.RCPT):
        # Disabled for now: permanent only if it is reported again on another day (`disabled_mailboxes`).
        return Outcome(Result.RETRY, meaning, detail)
    return Outcome(Result.RETRY, "temporarily_refused", detail)


def _final(phase: Phase, reply: Reply, detail: str) -> Outcome:
    # 530 to MAIL or RCPT is sent by a relay that requires AUTH first: it is not about the recipient.
    if reply.code in _AUTH_CODES and phase is not Phase.DOT:
        return Outcome(Result.CONFIGURATION, "auth_failed", detail, provider_error=True)
    meaning = refusals.meaning(reply.code, reply.enhanced, reply.text)
    if meaning is Meaning.FULL or (meaning is Meaning.RATE and reply.enhanced.startswith("2.")):
        # Temporary, whatever the first digit says.
        return Outcome(Result.RETRY, meaning, detail)
    # After RCPT a code is about the message; only the text can be about its one recipient.
    gone = meaning in GONE and (
        phase is Phase.RCPT or (phase is not Phase.MAIL and refusals.says_gone(reply.text))
    )
    return Outcome(Result.PERMANENT, _refusal(phase, reply, meaning), detail, recipient_gone=gone)


def _refusal(phase: Phase, reply: Reply, meaning: Meaning) -> str:
    subject = reply.enhanced.partition(".")[0]
    if phase is Phase.MAIL and (subject == "1" or meaning in GONE):
        return "sender_refused"
    if meaning is Meaning.TOO_LARGE or (reply.code == 552 and not subject and phase is not Phase.RCPT):
        return "too_large"
    if meaning in GONE or meaning in (Meaning.RATE, Meaning.POLICY):
        return meaning
    return {"5": "protocol_refused", "6": "content_refused", "7": "policy_refused"}.get(subject, "refused")


def no_reply(phase: Phase, error: OSError) -> Outcome:
    """The outcome of a connection that failed in `phase`; a TimeoutError means that a deadline passed."""
    detail = describe(phase, str(error) or type(error).__name__)
    late = isinstance(error, TimeoutError)
    if phase is Phase.DOT:
        code = "timeout_after_dot" if late else "lost_after_dot"
        return Outcome(Result.UNKNOWN, code, detail, provider_error=True)
    if isinstance(error, socket.gaierror):
        if error.errno in _HOST_UNKNOWN:
            return Outcome(Result.CONFIGURATION, "host_unknown", detail, provider_error=True)
        return Outcome(Result.DEFERRED, "dns_failed", detail, provider_error=True)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Outcome(Result.CONFIGURATION, "certificate_invalid", detail, provider_error=True)
    hung_up = isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    if phase is Phase.TLS and isinstance(error, ssl.SSLError) and not hung_up:
        return Outcome(Result.CONFIGURATION, "tls_failed", detail, provider_error=True)
    if phase is Phase.CONNECT:
        return Outcome(
            Result.DEFERRED, "connect_timeout" if late else "connect_failed", detail, provider_error=True
        )
    # A message that makes the server hang up must use up its attempts, so from MAIL on the attempt counts.
    result = Result.DEFERRED if phase in SESSION else Result.RETRY
    return Outcome(result, "timeout" if late else "connection_lost", detail, provider_error=True)
