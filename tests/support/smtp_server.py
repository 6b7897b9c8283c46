"""A raw SMTP server that follows a script, for tests of clients.

    with ScriptedSmtpServer(rcpt=["450 4.7.1 later", "250 ok"]) as server: ...

A phase's script is one reply for every use, or a list of replies: one for each use, the last one repeated. A reply is
text (CRLF added to each of its lines), bytes (sent as they are), an action, or a tuple of these in order. The
`rcpt`, `data` and `dot` scripts of one recipient go into `recipients` and come before the general ones.
"""

import base64
import socket
import ssl
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum


class Do(Enum):
    CLOSE = "hang up"
    RESET = "hang up with a TCP reset"
    TAKE = "record the message without a word"


@dataclass(frozen=True)
class Stall:
    """Waits for so many seconds, or until the server stops, then goes on with the reply."""

    seconds: float = 60


@dataclass(frozen=True)
class Hold:
    """Waits until the event is set or the server stops, then goes on with the reply."""

    released: threading.Event


@dataclass(frozen=True)
class Drip:
    """Sends one octet an interval."""

    octets: bytes
    interval: float = 0.05


Step = str | bytes | Do | Stall | Hold | Drip
Answer = Step | tuple[Step, ...]
Script = Answer | list[Answer]


@dataclass(frozen=True)
class Delivered:
    """A message that was accepted. `data` is as the client meant it: dot-stuffing undone."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes
    connection: int
    tls: bool


class _HangUp(Exception):
    pass


class ScriptedSmtpServer:
    """Thread-safe. `messages`, `commands` (connection number, line), `credentials`, `violations` (bare line
    ends) and `connections` (a count) may be read at any time; `wait_for` waits for messages."""

    def __init__(
        self,
        *,
        capabilities: tuple[str, ...] = ("PIPELINING", "8BITMIME", "SMTPUTF8"),
        recipients: Mapping[str, Mapping[str, Script]] | None = None,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        **scripts: Script,
    ) -> None:
        """`scripts`: greeting, ehlo, helo, starttls, auth (its end), mail, rcpt, data, dot, rset, quit."""
        starttls = ["STARTTLS"] if tls and not implicit_tls else []
        *names, last = ("test.invalid", *capabilities, *starttls)
        self.scripts: dict[str, Script] = {
            "greeting": "220 test.invalid ESMTP",
            "ehlo": "".join(f"250-{name}\n" for name in names) + f"250 {last}",
            "helo": "250 test.invalid",
            "starttls": "220 2.0.0 go ahead" if tls else "502 5.5.1 not here",
            "auth": "235 2.7.0 welcome",
            "mail": "250 2.1.0 ok",
            "rcpt": "250 2.1.5 ok",
            "data": "354 go ahead",
            "dot": "250 2.0.0 Ok: queued as TEST",
            "rset": "250 2.0.0 ok",
            "quit": ("221 2.0.0 bye", Do.CLOSE),
            **scripts,
        }
        self.recipients = recipients or {}
        self.tls, self.implicit_tls = tls, implicit_tls
        self.messages: list[Delivered] = []
        self.commands: list[tuple[int, str]] = []
        self.credentials: list[tuple[str, str]] = []
        self.violations: list[str] = []
        self.connections = 0
        self.stopping = threading.Event()
        self.changed = threading.Condition()
        self._uses: dict[tuple[str, str], int] = defaultdict(int)
        self.open: dict[int, socket.socket] = {}
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "ScriptedSmtpServer":
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.host, self.port = self._listener.getsockname()
        self.url = f"smtp://{self.host}:{self.port}/"
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(5)

    def wait_for(self, count: int, timeout: float = 10) -> list[Delivered]:
        """The messages, once there are `count`; raises TimeoutError."""
        with self.changed:
            if self.changed.wait_for(lambda: len(self.messages) >= count, timeout):
                return list(self.messages)
        raise TimeoutError(f"{len(self.messages)} of {count} messages")

    def lines(self, verb: str = "") -> list[str]:
        """The command lines so far that begin with `verb`."""
        return [line for _, line in self.commands if line.upper().startswith(verb)]

    def hang_up(self, reply: str = "") -> None:
        """Closes every open connection now, after sending `reply`."""
        with self.changed:
            for client in self.open.values():
                with suppress(OSError):
                    if reply:
                        client.sendall(reply.encode() + b"\r\n")
                    client.shutdown(socket.SHUT_RDWR)

    def answer(self, phase: str, recipient: str = "") -> Answer:
        own = self.recipients.get(recipient, {})
        script = own.get(phase, self.scripts[phase])
        if not isinstance(script, list):
            return script
        with self.changed:
            key = (phase, recipient if phase in own else "")
            self._uses[key] += 1
            return script[min(self._uses[key], len(script)) - 1]

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.changed:
                self.connections += 1
                number = self.connections
                self.open[number] = client
            self._start(self._serve, number, client)

    def _serve(self, number: int, client: socket.socket) -> None:
        talk = _Conversation(self, number, client)
        with suppress(OSError, ValueError, _HangUp):
            talk.run()
        with self.changed:
            self.open.pop(number, None)
        talk.file.close()
        talk.client.close()


class _Conversation:
    def __init__(self, server: ScriptedSmtpServer, number: int, client: socket.socket) -> None:
        self.server, self.number, self.client = server, number, client
        self.file = client.makefile("rb")
        self.secured = False
        self.sender = ""
        self.recipients: list[str] = []

    def run(self) -> None:
        if self.server.tls and self.server.implicit_tls:
            self.secure(self.server.tls)
        self.say(self.server.answer("greeting"))
        while line := self.line():
            verb, _, rest = line.partition(" ")
            self.server.commands.append((self.number, line))
            if handler := getattr(self, f"on_{verb.lower()}", None):
                handler(rest)
            else:
                known = verb.lower() in ("ehlo", "helo", "quit")
                self.say(self.server.answer(verb.lower()) if known else "500 5.5.1 what?")

    def on_starttls(self, _: str) -> None:
        if self.say(self.server.answer("starttls")) == 2 and self.server.tls:
            self.secure(self.server.tls)

    def on_auth(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        if mechanism.upper() == "PLAIN":
            _, user, password = base64.b64decode(initial).decode().split("\0")
        else:
            self.say("334 VXNlcm5hbWU6")
            user = base64.b64decode(self.line()).decode()
            self.say("334 UGFzc3dvcmQ6")
            password = base64.b64decode(self.line()).decode()
        self.server.credentials.append((user, password))
        self.say(self.server.answer("auth"))

    def on_mail(self, rest: str) -> None:
        if self.say(self.server.answer("mail")) == 2:
            self.sender, self.recipients = rest.partition(":")[2].partition(" ")[0].strip("<>"), []

    def on_rcpt(self, rest: str) -> None:
        recipient = rest.partition(":")[2].strip().strip("<>")
        if not self.sender:
            self.say("503 5.5.1 MAIL first")
        elif self.say(self.server.answer("rcpt", recipient)) == 2:
            self.recipients.append(recipient)

    def on_rset(self, _: str) -> None:
        self.sender, self.recipients = "", []
        self.say(self.server.answer("rset"))

    def on_data(self, _: str) -> None:
        first = self.recipients[0] if self.recipients else ""
        # A server that takes DATA without a recipient has to say so in its own script.
        scripted = self.recipients or self.server.scripts["data"] != "354 go ahead"
        if self.say(self.server.answer("data", first) if scripted else "503 5.5.1 RCPT first") != 3:
            return
        lines = []
        while (octets := self.read()) != b".\r\n":
            if not octets:
                raise _HangUp
            lines.append(octets[1:] if octets.startswith(b".") else octets)
        message = Delivered(self.sender, tuple(self.recipients), b"".join(lines), self.number, self.secured)
        self.sender, self.recipients = "", []
        self.say(self.server.answer("dot", first) if message.recipients else "554 5.5.1 nobody", message)

    def say(self, answer: Answer, message: Delivered | None = None) -> int:
        """Returns the first digit of the last reply sent; a 2 records `message` before it is sent."""
        digit = 0
        for step in answer if isinstance(answer, tuple) else (answer,):
            if isinstance(step, Stall):
                self.server.stopping.wait(step.seconds)
                continue
            if isinstance(step, Hold):
                while not (step.released.wait(0.05) or self.server.stopping.is_set()):
                    pass
                continue
            if step is Do.TAKE:
                self.record(message)
                continue
            if step is Do.RESET:
                self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if isinstance(step, Do):
                raise _HangUp
            octets = step.octets if isinstance(step, Drip) else step
            if isinstance(octets, str):
                octets = octets.replace("\n", "\r\n").encode() + b"\r\n"
            digit = int(octets[:1]) if octets[:3].isdigit() and len(octets) > 4 else 0
            if digit == 2:
                self.record(message)
            if not isinstance(step, Drip):
                self.client.sendall(octets)
                continue
            for octet in octets:
                self.client.sendall(bytes([octet]))
                if self.server.stopping.wait(step.interval):
                    raise _HangUp
        return digit

    def record(self, message: Delivered | None) -> None:
        if message:
            with self.server.changed:
                self.server.messages.append(message)
                self.server.changed.notify_all()

    def read(self) -> bytes:
        octets = self.file.readline()
        if octets.endswith(b"\n") and not octets.endswith(b"\r\n"):
            self.server.violations.append(f"a bare line end in {octets!r}")
        return octets

    def line(self) -> str:
        return self.read().decode("utf-8", "replace").rstrip("\r\n")

    def secure(self, context: ssl.SSLContext) -> None:
        self.file.close()
        self.client.settimeout(5)
        self.client = context.wrap_socket(self.client, server_side=True)
        self.client.settimeout(None)
        with self.server.changed:
            self.server.open[self.number] = self.client
        self.file = self.client.makefile("rb")
        self.secured = True
