"""One SMTP connection, logged in, on which one message goes after another; every wait is bounded."""

import select
import socket
import ssl
from contextlib import suppress
from time import monotonic

from apps.notifications.providers.base import MayCommit, Outcome, Result
from apps.notifications.providers.mime import Envelope
from apps.notifications.providers.smtp_outcomes import (
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
from apps.notifications.providers.smtp_settings import SmtpSettings

AT_ONCE = 32 * 1024
"""Octets of a message that go out together with its end. What is larger goes first: a server may refuse it on the
way, and until the end nothing is irrevocable."""


def _left(until: float) -> float:
    if (left := until - monotonic()) <= 0:
        raise TimeoutError("no answer in time")
    return left


class Wire:
    """A connected socket. `until` is a moment of the monotonic clock by which the whole call ends, however
    slowly the server drips. Everything raises OSError; TimeoutError only where time ran out."""

    def __init__(self, settings: SmtpSettings, until: float) -> None:
        self._buffer = b""
        self._bound = -1.0
        hosts = [str(a[4][0]) for a in socket.getaddrinfo(settings.host, None, type=socket.SOCK_STREAM)]
        for left in range(len(hosts), 0, -1):
            try:
                self.socket = socket.create_connection((hosts[-left], settings.port), _left(until) / left)
                break
            except OSError:
                if left == 1:
                    raise
        # The final dot is a second small write: Nagle would hold it for a delayed ACK.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        self._poll = select.poll()
        self._poll.register(self.socket, select.POLLIN)

    def secure(self, context: ssl.SSLContext, host: str, until: float) -> None:
        if self._buffer:
            raise ssl.SSLError("the server spoke out of turn before TLS")
        self._wait_until(until)
        self.socket = context.wrap_socket(self.socket, server_hostname=host)

    def write(self, octets: bytes, until: float) -> None:
        self._wait_until(until)
        sent = self.socket.send(octets)
        if sent < len(octets):
            rest = memoryview(octets)[sent:]
            while rest:
                self._wait_until(until)
                rest = rest[self.socket.send(rest) :]

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
        """Whether the server has neither spoken nor hung up since its last reply."""
        if not isinstance(self.socket, ssl.SSLSocket):
            return not self._buffer and not self._poll.poll(0)
        self._bound = -1.0
        try:
            self.socket.settimeout(0)
            self._buffer += self.socket.recv(1)
        except OSError as silence:
            return not self._buffer and isinstance(silence, BlockingIOError | ssl.SSLWantReadError)
        return False

    def _wait_until(self, until: float) -> None:
        """Let the next call wait no longer, give or take a second where there are many."""
        left = _left(until)
        if not left <= self._bound <= left + 1.0 or left < 2.0:
            self._bound = left if left < 2.0 else left + 0.5
            self.socket.settimeout(self._bound)


class Session:
    """One connection, logged in. A method that raises has closed it."""

    def __init__(self, settings: SmtpSettings, context: ssl.SSLContext | None, deadline: float) -> None:
        self.open = True
        self.retired = False
        self._settings = settings
        self._deadline = deadline
        self._messages = 0
        self._dirty = False
        self._extensions: dict[str, str] = {}
        self._timeouts = {phase: settings.timeout(phase) for phase in Phase}
        until = self._until(Phase.CONNECT)
        try:
            self._wire = Wire(settings, until)
        except OSError as error:
            raise self._broken(Phase.CONNECT, error) from error
        try:
            if context and settings.tls == "tls":
                self._secure(context)
            self._require(Phase.BANNER)
            self._greet()
            if context and settings.tls == "starttls":
                # Asked even where it is not offered: the server's refusal then ends the session.
                self._require(Phase.TLS, "STARTTLS")
                self._secure(context)
                self._greet()
            if settings.username:
                self._log_in()
        except BaseException:
            self.close()
            raise

    def usable(self) -> bool:
        return (
            not self.retired
            and self._messages < self._settings.message_limit
            and self.idle_for() < self._settings.idle_limit
            and self._wire.quiet()
        )

    def deliver(self, envelope: Envelope, may_commit: MayCommit, deadline: float) -> Outcome:
        """`deadline`: the moment by which the final dot is written, or the send ends without it."""
        self._deadline = deadline
        self._messages += 1
        try:
            if self._dirty and self._ask(Phase.MAIL, "RSET").code != 250:
                raise Lost(no_reply(Phase.MAIL, ConnectionError("RSET was refused")))
            self._dirty = False
            return self._transaction(envelope, may_commit)
        except BaseException:
            # Left open in mid-message, the next message's commands would become this one's text.
            self.close()
            raise
        finally:
            if self.retired:
                self.close()

    def quit(self, until: float) -> None:
        with suppress(OSError):
            self._wire.write(b"QUIT\r\n", until)
            self._wire.reply(until)
        self.close()

    def close(self) -> None:
        self.open = False
        self._wire.socket.close()

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

    def _ask(self, phase: Phase, line: str | None = None) -> Reply:
        until = self._until(phase)
        try:
            if line is not None:
                self._wire.write(f"{line}\r\n".encode(), until)
            return self._wire.reply(until)
        except OSError as error:
            raise self._broken(phase, error) from error

    def _require(self, phase: Phase, line: str | None = None) -> None:
        if (reply := self._ask(phase, line)).code // 100 != 2:
            raise Ended(classify(phase, reply))

    def _secure(self, context: ssl.SSLContext) -> None:
        until = self._until(Phase.TLS)
        try:
            self._wire.secure(context, self._settings.host, until)
        except OSError as error:
            raise self._broken(Phase.TLS, error) from error

    def _greet(self) -> None:
        address = self._wire.socket.getsockname()[0]
        name = self._settings.ehlo_name or f"[{'IPv6:' if ':' in address else ''}{address}]"
        reply = self._ask(Phase.EHLO, f"EHLO {name}")
        if reply.code // 100 == 5:
            reply = self._ask(Phase.EHLO, f"HELO {name}")
        if reply.code // 100 != 2:
            raise Ended(classify(Phase.EHLO, reply))
        self._extensions = reply.extensions()

    def _log_in(self) -> None:
        lines = self._settings.login(self._extensions.get("AUTH", ""))
        if not lines:
            detail = "auth: neither PLAIN nor LOGIN is offered"
            raise Ended(Outcome(Result.CONFIGURATION, "auth_failed", detail, provider_fault=True))
        for line in lines:
            if (reply := self._ask(Phase.AUTH, line)).code != 334:
                break
        if reply.code // 100 != 2:
            # Servers quote the command they refuse; what it carried must not reach a log.
            raise Ended(classify(Phase.AUTH, reply.without(self._settings.password, *lines)))

    def _transaction(self, envelope: Envelope, may_commit: MayCommit) -> Outcome:
        if refusal := self._ask_leave(envelope):
            return refusal
        body, end = envelope.body, b"\r\n.\r\n"
        if len(body) > AT_ONCE:
            self._write(body)
            body = b""
        if not self._wire.quiet():
            # Too large, closing down, out of step: whatever it says before the end is not the end's reply.
            reply = self._ask(Phase.DATA)
            self.close()
            return classify(Phase.DATA, reply)
        if not may_commit():
            self.close()
            return Outcome(Result.DEFERRED, "lease_lapsed")
        self._write(body + end)
        reply = self._ask(Phase.DOT)
        if reply.code // 100 != 2:
            self._settle(reply)
        return classify(Phase.DOT, reply)

    def _write(self, octets: bytes) -> None:
        """Where this raises, not all of it was written: without its last octet a message is none."""
        until = self._until(Phase.DATA)
        try:
            self._wire.write(octets, until)
        except OSError as error:
            raise self._broken(Phase.DATA, error) from error

    def _ask_leave(self, envelope: Envelope) -> Outcome | None:
        """MAIL, RCPT and DATA; None once the server waits for the message."""
        if envelope.needs_smtputf8 and "SMTPUTF8" not in self._extensions:
            return Outcome(Result.PERMANENT, "smtputf8_unavailable", "mail: SMTPUTF8 is not offered")
        lines = envelope.commands(self._extensions)
        pipelining = "PIPELINING" in self._extensions
        asked = ("\r\n".join(lines), None, None) if pipelining else lines
        refusal: Outcome | None = None
        for phase, line in zip((Phase.MAIL, Phase.RCPT, Phase.DATA), asked, strict=True):
            try:
                reply = self._ask(phase, line)
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
            # DATA was taken, RCPT was not: an empty end might deliver an empty message, hanging up can't.
            self.close()
        return refusal

    def _settle(self, refusal: Reply) -> bool:
        """Whether the session goes on after a refusal: not after 421, nor once out of step."""
        self._dirty = refusal.code >= 400 and refusal.code != 421
        if not self._dirty:
            self.close()
        return self._dirty
