"""A message's bytes: CRLF lines of at most 998 octets, 7-bit unless an address itself needs UTF-8.

Written by hand because the standard library's generator costs more than everything else in a send, folds long words
past the limit and treats characters such as U+2028 as line ends.

An invalid address raises InvalidAddress, a ValueError.
"""

import base64
import binascii
import re
import secrets
import textwrap
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from apps.notifications.channels.email.dkim import Signer
from apps.notifications.channels.email.message import EmailMessage
from notifier.lib.email_addresses import Sender, sender

_FOLD_AT = 76
_TOKEN_LIMIT = 900
_WORD_OCTETS = 39  # keeps `Subject: =?utf-8?b?…?=` under 76 characters

_FORBIDDEN = re.compile(r"[\r\n\x00]")
_PLAIN = re.compile(r"[ -~]*")
_HEADER_NAME = re.compile(r"[!-9;-~]{1,76}")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}>")
_PLAIN_OCTETS = bytes([9, 10, 13, *range(32, 127)])
_LINE_LIMIT = 990
_OURS = frozenset({"date", "from", "to", "subject", "message-id", "mime-version"})
_ADDRESS_HEADERS = frozenset({"reply-to", "sender"})


def mailbox(value: str) -> Sender:
    """Reads `local@domain` or `Name <local@domain>`. Raises ValueError for CR, LF or NUL, otherwise
    InvalidAddress."""
    _refuse_line_ends("an address", value)
    return sender(value)


@dataclass(frozen=True, slots=True)
class Envelope:
    """`sender` is the envelope sender, to which bounces go. `octets` is the built message; `body` is what goes
    between DATA and the final dot: dot-stuffed, and without its last CRLF, which belongs to the dot."""

    sender: str
    to: str
    octets: bytes

    @classmethod
    def of(cls, message: EmailMessage, signer: Signer | None = None) -> "Envelope":
        """The envelope, signed where there is a `signer`. Raises what `mailbox` and `build` raise."""
        octets = build(message)
        if signer is not None:
            octets = signer.signed(octets)
        return cls(
            mailbox(message.return_path or message.sender).address, mailbox(message.to).address, octets
        )

    @property
    def needs_smtputf8(self) -> bool:
        # An address in a header is the only part of a message that may be beyond ASCII.
        return not (self.sender.isascii() and self.to.isascii() and self.octets.isascii())

    @property
    def body(self) -> bytes:
        return self.octets.removesuffix(b"\r\n").replace(b"\r\n.", b"\r\n..")

    def commands(self, offered: Container[str]) -> tuple[str, str, str]:
        """The lines of MAIL, RCPT and DATA for a server that offers these extensions."""
        parameters = f" SIZE={len(self.octets)}" if "SIZE" in offered else ""
        parameters += " SMTPUTF8" if self.needs_smtputf8 else ""
        parameters += " BODY=8BITMIME" if "8BITMIME" in offered and not self.octets.isascii() else ""
        return f"MAIL FROM:<{self.sender}>{parameters}", f"RCPT TO:<{self.to}>", "DATA"


def build(message: EmailMessage) -> bytes:
    """The whole message, ending in CRLF, not dot-stuffed. Raises ValueError for CR, LF or NUL in a header, a
    header name that is invalid or set here, an invalid Message-ID, or a word too long for a line."""
    if not _MESSAGE_ID.fullmatch(message.message_id):
        raise ValueError("a Message-ID must be <…>, printable ASCII without spaces")
    headers = [
        f"Date: {_date(int(time.time()))}",
        f"From: {_address('From', message.sender)}",
        f"To: {_address('To', message.to)}",
        f"Subject: {_text('Subject', message.subject)}",
        f"Message-ID: {message.message_id}",
        "MIME-Version: 1.0",
        *_extra(message),
    ]
    parts = [
        _part(subtype, content)
        for subtype, content in (("plain", message.text), ("html", message.html))
        if content
    ] or [_part("plain", "")]
    if len(parts) == 1:
        body = parts[0] if parts[0].endswith(b"\r\n") else parts[0] + b"\r\n"
    else:
        # "=_" occurs in neither quoted-printable nor base64; the rest is beyond chance in 7-bit text.
        boundary = f"=_{secrets.token_hex(16)}"
        headers.append(f'Content-Type: multipart/alternative; boundary="{boundary}"')
        line = f"--{boundary}".encode()
        body = b"".join((b"\r\n", *(line + b"\r\n" + part + b"\r\n" for part in parts), line, b"--\r\n"))
    return "\r\n".join((*headers, "")).encode() + body


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC))


def _extra(message: EmailMessage) -> Iterator[str]:
    for name, value in message.headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!a} is no valid header name")
        if name.lower() in _OURS or name.lower().startswith("content-"):
            raise ValueError(f"the header {name} is set from the message itself")
        yield f"{name}: {(_address if name.lower() in _ADDRESS_HEADERS else _text)(name, value)}"


def _part(subtype: str, content: str) -> bytes:
    text = content.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
    octets = text.encode("utf-8", "replace")
    encoding = "7bit"
    if octets.translate(None, _PLAIN_OCTETS) or max(map(len, octets.split(b"\r\n"))) > _LINE_LIMIT:
        encoding = "quoted-printable"
        # b2a_qp breaks lines with CRLF only if it sees a CRLF.
        encoded = binascii.b2a_qp(octets + b"\r\n", istext=True)[:-2]
        if len(encoded) > 1.5 * len(octets):
            encoding = "base64"
            encoded = base64.encodebytes(octets).replace(b"\n", b"\r\n")
        octets = encoded
    lines = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return lines.encode() + octets


@lru_cache(maxsize=1024)
def _address(name: str, value: str) -> str:
    box = mailbox(value)
    if not box.name:
        return box.address
    if _PLAIN.fullmatch(box.name) and "=?" not in box.name and len(box.name) <= _FOLD_AT:
        shown = '"' + box.name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    else:
        shown = _encoded_words(box.name)
    gap = " " if len(name) + len(shown) + len(box.address) < _FOLD_AT else "\r\n "
    return f"{shown}{gap}<{box.address}>"


def _text(name: str, value: str) -> str:
    """Folds printable ASCII at its spaces; anything else, and what folding would change, is encoded. Only a
    subject may be: in other headers ASCII has a grammar (URLs, addresses) that encoding would break."""
    _refuse_line_ends(f"the header {name}", value)
    if _PLAIN.fullmatch(value):
        lines = [value]
        if len(name) + len(value) >= _FOLD_AT:
            lines = textwrap.wrap(value, _FOLD_AT - len(name), break_long_words=False, break_on_hyphens=False)
        unchanged = " ".join(lines) == value == value.strip() and "=?" not in value
        if all(len(line) <= _TOKEN_LIMIT for line in lines) and (unchanged or name != "Subject"):
            return "\r\n ".join(lines)
        if name != "Subject":
            raise ValueError(f"the header {name} has a word of more than {_TOKEN_LIMIT} characters")
    return _encoded_words(value)


def _encoded_words(value: str) -> str:
    pieces, piece = [], b""
    for char in value:
        octets = char.encode("utf-8", "replace")
        if len(piece) + len(octets) > _WORD_OCTETS:
            pieces.append(piece)
            piece = b""
        piece += octets
    pieces.append(piece)
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(piece).decode()}?=" for piece in pieces)


def _refuse_line_ends(what: str, value: str) -> None:
    if _FORBIDDEN.search(value):
        raise ValueError(f"{what} holds a line end or NUL")
