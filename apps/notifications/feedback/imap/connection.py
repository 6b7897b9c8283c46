"""A connection to an IMAP server on which every wait has an end and every reply a bound."""

import imaplib
import re
import ssl
import time
from binascii import b2a_base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from apps.notifications.channels.email.providers.smtp.outcomes import printable
from apps.notifications.feedback.dsn import SIZE_LIMIT
from apps.notifications.feedback.imap.settings import ImapSettings, NoSecret

COMMAND_SECONDS = 30.0
"""For one command and all of its reply, however slowly that drips."""
REPLY_LIMIT = 16 * 1024 * 1024
"""Octets of one reply: two million UIDs, and far more than one mail's part."""
TEXT_LIMIT = 200
_UID = re.compile(rb"\bUID ([0-9]{1,10})\b")
_BODY = re.compile(rb'BODY\[\](?:<0>)? (?:NIL|"((?:[^"\\]|\\.)*)")', re.IGNORECASE)


class MailboxError(Exception):
    """The mailbox can't be read now; the message is a sentence.

    └── Refused   the server said no to one command, and the connection goes on
    """


class Refused(MailboxError):
    pass


class _BoundedImap(imaplib.IMAP4):
    """imaplib with a deadline for each command, and a bound of what it takes in; by itself, each octet has a time of
    its own, and a literal any length. It overrides what imaplib's documentation lets be overridden."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self._context = context
        self._buffer = bytearray()
        self._buffer_of: Any = None
        self.allow()
        super().__init__(host, port)

    def allow(self) -> None:
        """What one command may take, from now."""
        self._deadline = time.monotonic() + COMMAND_SECONDS
        self._room = REPLY_LIMIT

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        super().open(host, port, self._seconds_left())
        if self._context is not None:
            try:
                self.sock = self._context.wrap_socket(self.sock, server_hostname=host)
            except BaseException:
                self.shutdown()
                raise

    def read(self, size: int) -> bytes:
        if size > self._room + len(self._buffer):
            raise self.abort(f"a reply of {size} octets")
        self._drop_what_came_before_tls()
        while len(self._buffer) < size:
            self._receive()
        return self._take(size)

    def readline(self) -> bytes:
        self._drop_what_came_before_tls()
        seen = 0
        while (end := self._buffer.find(b"\n", seen)) < 0:
            seen = len(self._buffer)
            self._receive()
        return self._take(end + 1)

    def send(self, data: Any) -> None:
        self.sock.settimeout(self._seconds_left())
        self.sock.sendall(data)

    def shutdown(self) -> None:
        # imaplib's own way of reading, not used here, holds the socket, too.
        if "file" in vars(self):
            self.file.close()
        self.sock.close()

    def _receive(self) -> None:
        self.sock.settimeout(self._seconds_left())
        octets = self.sock.recv(65536)
        if not octets:
            raise self.abort("the connection was closed")
        self._room -= len(octets)
        if self._room < 0:
            raise self.abort(f"a reply of more than {REPLY_LIMIT} octets")
        self._buffer += octets

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _drop_what_came_before_tls(self) -> None:
        """What somebody slipped in before the handshake must not be read as if it had come after it."""
        if self.sock is not self._buffer_of:
            self._buffer_of = self.sock
            self._buffer.clear()

    def _seconds_left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no answer within {COMMAND_SECONDS:.0f} s")
        return left


class ImapConnection:
    """A login at the server. Every method raises MailboxError; after one that is not Refused, close it."""

    def __init__(self, settings: ImapSettings) -> None:
        self._settings = settings
        self.opened_at = time.monotonic()
        with _in_a_sentence("no connection"):
            encrypted = settings.tls != "none"
            context = ssl.create_default_context(cafile=settings.ca_file or None) if encrypted else None
            self._imap = _BoundedImap(
                settings.host, settings.port, context if settings.tls == "tls" else None
            )
        try:
            if settings.tls == "starttls":
                with _in_a_sentence("no connection"):
                    self._ask("starttls", context)
            with _in_a_sentence("no login"):
                self._log_in()
                self._capabilities = self._ask("capability")[-1].upper().split()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._imap.shutdown()

    def select(self) -> int:
        """Open the folder, or look at it anew. Returns its UIDVALIDITY."""
        with _in_a_sentence(f"the folder {self._settings.folder}"):
            self._ask("select", _folder(self._settings.folder))
            found = self._imap.response("UIDVALIDITY")[1][-1]
            if not isinstance(found, bytes) or not re.fullmatch(rb"[0-9]{1,10}", found):
                raise MailboxError("the server names no UIDVALIDITY")
            return int(found)

    def search(self, criteria: str) -> list[int]:
        """The UIDs of the mails that fit, in their order."""
        with _in_a_sentence("SEARCH"):
            replies = self._ask("uid", "SEARCH", criteria)
            numbers = b" ".join(one for one in replies if isinstance(one, bytes)).split()
            return sorted({int(one) for one in numbers if re.fullmatch(rb"[0-9]{1,10}", one)})

    def fetch(self, uid: int) -> bytes | None:
        """The mail's first octets, without marking it; None: it is gone."""
        with _in_a_sentence(f"FETCH {uid}"):
            replies = self._ask("uid", "FETCH", str(uid), f"(UID BODY.PEEK[]<0.{SIZE_LIMIT}>)")
            for number, reply in enumerate(replies):
                head = reply[0] if isinstance(reply, tuple) else reply
                if not isinstance(head, bytes):
                    continue
                after = replies[number + 1] if isinstance(reply, tuple) and number + 1 < len(replies) else b""
                found = _UID.search(head) or (_UID.search(after) if isinstance(after, bytes) else None)
                if found is None or int(found[1]) != uid:
                    continue
                if isinstance(reply, tuple):
                    return bytes(reply[1][:SIZE_LIMIT])
                if short := _BODY.search(head):
                    return re.sub(rb"\\(.)", rb"\1", short[1] or b"")
            if replies == [None]:
                return None
            raise Refused("the reply has no mail in it")

    def mark_seen(self, uid: int) -> None:
        self._store(uid, r"(\Seen)")

    def move(self, uid: int, folder: str) -> None:
        """Move the mail to the folder, which is made where there is none."""
        with _in_a_sentence(f"the folder {folder}"):
            try:
                self._move(uid, folder)
            except Refused as refused:
                try:
                    self._ask("create", _folder(folder))
                except Refused:
                    # It was there: the refusal has another reason.
                    raise refused from None
                self._move(uid, folder)

    def _move(self, uid: int, folder: str) -> None:
        if b"MOVE" in self._capabilities:
            self._ask("uid", "MOVE", str(uid), _folder(folder))
            return
        self._ask("uid", "COPY", str(uid), _folder(folder))
        self._store(uid, r"(\Deleted)")
        if b"UIDPLUS" in self._capabilities:
            # A plain EXPUNGE would also take what somebody else has marked.
            self._ask("uid", "EXPUNGE", str(uid))

    def _store(self, uid: int, flags: str) -> None:
        with _in_a_sentence(f"STORE {uid}"):
            self._ask("uid", "STORE", str(uid), "+FLAGS.SILENT", flags)

    def _log_in(self) -> None:
        settings, secret = self._settings, self._settings.read_secret()
        if settings.has_token:
            answer = f"user={settings.username}\1auth=Bearer {secret}\1\1".encode()
            # A second challenge is the server's reason; an empty answer asks for its NO.
            answers = iter([answer])
            self._ask("authenticate", "XOAUTH2", lambda _: next(answers, b""))
        elif "AUTH=PLAIN" in self._imap.capabilities:
            answer = f"\0{settings.username}\0{secret}".encode()
            self._ask("authenticate", "PLAIN", lambda _: answer)
        elif "LOGINDISABLED" in self._imap.capabilities:
            raise MailboxError("no login: the server takes no password on this connection")
        else:
            self._ask("login", _quoted(settings.username), secret)

    def _ask(self, command: str, *arguments: Any) -> list[Any]:
        self._imap.allow()
        try:
            answer, data = getattr(self._imap, command)(*arguments)
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            raise Refused(f"{command.upper()} was refused: {printable(str(error))[:TEXT_LIMIT]}") from error
        if answer != "OK":
            raise Refused(f"{command.upper()} was refused: {_text(data)}")
        return list(data)


@contextmanager
def _in_a_sentence(doing: str) -> Iterator[None]:
    """imaplib meets replies that nobody expects with exceptions of any kind."""
    try:
        yield
    except MailboxError:
        raise
    except NoSecret as error:
        raise MailboxError(f"{doing}: {error}") from error
    except Exception as error:
        text = printable(str(error))[:TEXT_LIMIT] or type(error).__name__
        raise MailboxError(f"{doing}: {text}") from error


def _text(data: Any) -> str:
    last = data[-1] if data else b""
    return printable(last.decode("utf-8", "replace") if isinstance(last, bytes) else "")[:TEXT_LIMIT]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _folder(name: str) -> str:
    """A folder's name as IMAP has it: quoted, and what is not ASCII in a UTF-7 of its own (RFC 3501, 5.1.3)."""
    return _quoted("".join(_shifted(run) for run in re.findall(r"[ -~]+|[^ -~]+", name)))


def _shifted(run: str) -> str:
    if run.isascii():
        return run.replace("&", "&-")
    return (
        "&" + b2a_base64(run.encode("utf-16-be"), newline=False).decode().rstrip("=").replace("/", ",") + "-"
    )
