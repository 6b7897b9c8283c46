"""One SMTP connection, logged in, which sends one message after another; every wait is bounded."""

import select
import socket
import ssl
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

from apps.notifications.channels.email.message import EmailMessage
from apps.notifications.channels.email.mime import Envelope
from apps.notifications.channels.email.providers.smtp.outcomes import (
    LINE_LIMIT,
    REPLY_LINES,
    Ended,
    Lost,
    Phase,
    Reply,
    classify,
    no_reply,
    read_reply,
)
from apps.notifications.channels.email.providers.smtp.settings import SmtpSettings
from apps.notifications.channels.outcome import MayCommit, Outcome, Result


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


AT_ONCE = 32 * 1024
"""Octets of a message that are sent together with its final dot. A larger message is sent before it: the server may
refuse it meanwhile, and until the final dot nothing is irrevocable."""


class PipelinedNext(NamedTuple):
    """A message whose MAIL, RCPT and DATA are sent right behind the final dot of the one before it."""

    message: EmailMessage
    envelope: Envelope


MECHANISM_CODES = frozenset({500, 501, 502, 504})
"""Replies to AUTH: the mechanism or its form is not supported; the password was not checked."""
PIPELINED_SECONDS = 10.0
"""How long a server is kept waiting for a pipelined message; by then another thread or worker has sent it."""


class Session:
    """One connection, logged in. A method that raises has closed it.

    `pipelined`: the server waits for this message's text, and can be sent no other message.
    """

    def __init__(self, settings: SmtpSettings, context: ssl.SSLContext | None, deadline: float) -> None:
        self.open = True
        self.retired = False
        self.pipelined: PipelinedNext | None = None
        self._settings = settings
        self._deadline = deadline
        self._messages = 0
        self._dirty = False
        self._extensions: dict[str, str] = {}
        self._timeouts = {phase: settings.timeout(phase) for phase in Phase}
        until = self._until(Phase.CONNECT)
        try:
            self._connection = Connection(settings, until)
        except OSError as error:
            raise self._broken(Phase.CONNECT, error) from error
        try:
            if context and settings.tls == "tls":
                self._secure(context)
            self._require(Phase.BANNER)
            self._greet()
            if context and settings.tls == "starttls":
                # Sent even where it is not offered: the server's refusal then ends the session.
                self._require(Phase.TLS, "STARTTLS")
                self._secure(context)
                self._greet()
            if settings.username:
                self._log_in()
        except BaseException:
            self.close()
            raise

    @property
    def expired(self) -> bool:
        """Whether it was idle longer than its limit."""
        return self.idle_for() > (self._settings.idle_limit if self.pipelined is None else PIPELINED_SECONDS)

    def usable(self) -> bool:
        if self.retired or self._messages >= self._settings.message_limit or self.expired:
            return False
        return self.pipelined is not None or self._connection.quiet()

    def deliver(
        self,
        envelope: Envelope,
        may_commit: MayCommit,
        deadline: float,
        pipelined: PipelinedNext | None = None,
    ) -> Outcome:
        """`deadline`: monotonic time by which the final dot is written, or the send ends without it. Where this
        session has a pipelined message, `envelope` is that message's. `pipelined`: the message to pipeline next."""
        self._deadline = deadline
        self._messages += 1
        try:
            if self._dirty and self._command(Phase.MAIL, "RSET").code != 250:
                raise Lost(no_reply(Phase.MAIL, ConnectionError("RSET was refused")))
            self._dirty = False
            return self._transaction(envelope, may_commit, pipelined)
        except BaseException:
            # On a connection left open in mid-message, the next message's commands would become this one's text.
            self.close()
            raise
        finally:
            if self.retired:
                self.close()

    def quit(self, until: float) -> None:
        # A server that waits for a message's text would read QUIT as part of it.
        if self.pipelined is None:
            with suppress(OSError):
                self._connection.write(b"QUIT\r\n", until)
                self._connection.reply(until)
        self.close()

    def close(self) -> None:
        self.open = False
        self._connection.socket.close()

    def idle_for(self) -> float:
        """Seconds since it was last used."""
        return monotonic() - self._used_at

    def _until(self, phase: Phase) -> float:
        self._used_at = monotonic()
        until = self._used_at + self._timeouts[phase]
        return until if phase is Phase.DOT else min(until, self._deadline)

    def _broken(self, phase: Phase, error: OSError) -> Ended:
        kept = phase is Phase.DOT or isinstance(error, TimeoutError)
        return (Ended if kept else Lost)(no_reply(phase, error))

    def _command(self, phase: Phase, line: str | None = None) -> Reply:
        """Write the line, if there is one, and read a reply. Raises Ended."""
        until = self._until(phase)
        try:
            if line is not None:
                self._connection.write(f"{line}\r\n".encode(), until)
            return self._connection.reply(until)
        except OSError as error:
            raise self._broken(phase, error) from error

    def _require(self, phase: Phase, line: str | None = None) -> None:
        """The same, for a reply that must be 2xx."""
        if (reply := self._command(phase, line)).code // 100 != 2:
            raise Ended(classify(phase, reply))

    def _secure(self, context: ssl.SSLContext) -> None:
        until = self._until(Phase.TLS)
        try:
            self._connection.secure(context, self._settings.host, until)
        except OSError as error:
            raise self._broken(Phase.TLS, error) from error

    def _greet(self) -> None:
        address = self._connection.socket.getsockname()[0]
        name = self._settings.ehlo_name or f"[{'IPv6:' if ':' in address else ''}{address}]"
        reply = self._command(Phase.EHLO, f"EHLO {name}")
        if reply.code // 100 == 5:
            reply = self._command(Phase.EHLO, f"HELO {name}")
        if reply.code // 100 != 2:
            raise Ended(classify(Phase.EHLO, reply))
        self._extensions = reply.extensions()

    def _log_in(self) -> None:
        logins = self._settings.logins(self._extensions.get("AUTH", ""))
        if not logins:
            detail = "auth: neither PLAIN nor LOGIN is offered"
            raise Ended(Outcome(Result.CONFIGURATION, "auth_failed", detail, provider_error=True))
        for lines in logins:
            for line in lines:
                if (reply := self._command(Phase.AUTH, line)).code != 334:
                    break
            if reply.code // 100 == 2:
                return
            # A refused password is not tried again: servers count failures, and lock the account.
            if not refuses_mechanism(reply):
                break
        # Servers quote the command they refuse; its credentials must not reach a log.
        secrets = [line for lines in logins for line in lines]
        raise Ended(classify(Phase.AUTH, reply.without(self._settings.password, *secrets)))

    def _transaction(
        self, envelope: Envelope, may_commit: MayCommit, pipelined: PipelinedNext | None
    ) -> Outcome:
        commands_sent, self.pipelined = self.pipelined is not None, None
        if refusal := self._begin(envelope, commands_sent=commands_sent):
            return refusal
        body, end = envelope.body, b"\r\n.\r\n"
        if len(body) > AT_ONCE:
            self._write(body)
            body = b""
        if not self._connection.quiet():
            # Too large, closing down, out of sync: a reply before the final dot is not the reply to it.
            reply = self._command(Phase.DATA)
            self.close()
            refusal = classify(Phase.DATA, reply)
            if commands_sent and reply.code == 421:
                # The server closes an idle connection, as it may between two messages.
                raise Lost(refusal)
            return refusal
        if not may_commit():
            self.close()
            return Outcome(Result.DEFERRED, "lease_lapsed")
        more = b""
        if pipelined is not None and self._can_pipeline(pipelined.envelope):
            # RFC 2920 allows the next message's commands directly behind this one's final dot.
            lines = pipelined.envelope.commands(self._extensions)
            more = "".join(f"{line}\r\n" for line in lines).encode()
            self.pipelined = pipelined
        self._write(body + end + more, whole=len(body + end))
        reply = self._command(Phase.DOT)
        if reply.code // 100 != 2:
            self._settle(reply)
            if self.pipelined is not None:
                self.close()
        return classify(Phase.DOT, reply)

    def _can_pipeline(self, envelope: Envelope) -> bool:
        return (
            "PIPELINING" in self._extensions
            and not self.retired
            and self._messages < self._settings.message_limit
            and self._sendable(envelope)
        )

    def _sendable(self, envelope: Envelope) -> bool:
        return "SMTPUTF8" in self._extensions or not envelope.needs_smtputf8

    def _write(self, octets: bytes, whole: int | None = None) -> None:
        """`whole`: how many octets complete the message, if the final dot is among them. Once these are sent the
        message may have been accepted, whatever happens to the rest; without the last of them it is not."""
        until = self._until(Phase.DATA)
        try:
            self._connection.write(octets, until)
        except OSError as error:
            ended = whole is not None and self._connection.written >= whole
            raise self._broken(Phase.DOT if ended else Phase.DATA, error) from error

    def _begin(self, envelope: Envelope, *, commands_sent: bool) -> Outcome | None:
        """MAIL, RCPT and DATA, unless `commands_sent` before; None once the server waits for the message."""
        if not self._sendable(envelope):
            return _unsendable(envelope)
        pipelining = "PIPELINING" in self._extensions
        lines: tuple[str | None, ...] = (None, None, None)
        if not commands_sent:
            lines = envelope.commands(self._extensions)
            lines = ("\r\n".join(lines), None, None) if pipelining else lines
        refusal: Outcome | None = None
        for phase, line in zip((Phase.MAIL, Phase.RCPT, Phase.DATA), lines, strict=True):
            try:
                reply = self._command(phase, line)
            except Ended:
                if refusal is None:
                    raise
                self.close()
                return refusal
            if reply.code // 100 == (3 if phase is Phase.DATA else 2):
                continue
            refusal = refusal or classify(phase, reply)
            if refusal.code == "service_closing" and phase is Phase.MAIL:
                raise Lost(refusal)
            if not self._settle(reply) or not pipelining:
                return refusal
        if refusal and reply.code // 100 == 3:
            # DATA was accepted, RCPT was not: a final dot alone might deliver an empty message, closing can't.
            self.close()
        return refusal

    def _settle(self, refusal: Reply) -> bool:
        """Whether the session can be used after a refusal: not after 421, nor when out of sync."""
        self._dirty = refusal.code >= 400 and refusal.code != 421
        if not self._dirty:
            self.close()
        return self._dirty


def refuses_mechanism(reply: Reply) -> bool:
    """Whether another mechanism may be tried after this reply to AUTH."""
    # Gmail uses 534 for passwords, other servers for the mechanism.
    weak = reply.code == 534 and "mechanism" in reply.text.lower()
    return reply.code in MECHANISM_CODES or weak


def _unsendable(envelope: Envelope) -> Outcome:
    if envelope.to.isascii():
        # True for every message; another recipient changes nothing.
        detail = "mail: the sender's address has letters beyond ASCII, and the relay does not offer SMTPUTF8"
        return Outcome(Result.CONFIGURATION, "smtputf8_unavailable", detail, provider_error=True)
    detail = "mail: the address has letters beyond ASCII, and the relay does not offer SMTPUTF8"
    return Outcome(Result.PERMANENT, "smtputf8_unavailable", detail)
