"""The parts of a mail. An embedded mail (returned, forwarded, or a report) is not parsed until a caller asks for it,
so that a report which a person forwards is never taken for one of the mail system."""

import re
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser, Parser

PARTS_LIMIT = 40
LINES_LIMIT = 2000
"""Lines that may begin a part; a mail with more is built to keep the parser busy."""
TOKEN_LIMIT = 500
"""Characters of a field that has one token, with its comments."""
GROUPS_LIMIT = 50
"""Blocks of one report: one for the message and one for each recipient."""


# The standard library reads a header's parameters in a time that grows with the square of its length.
_LONG_LINE = re.compile(rb"^([^\n]{16384})[^\n]+", re.MULTILINE)
_LONG_HEADER = re.compile(
    rb"^content-[a-z-]{1,30}:(?:[^\n]{0,2000}\n[ \t]){200}", re.MULTILINE | re.IGNORECASE
)


class Part(Message):
    """A part whose embedded messages are left unparsed."""

    def get_content_type(self) -> str:
        """Used by the parser, which would parse embedded messages; `kind_of` returns the true type."""
        kind = super().get_content_type()
        return kind if kind.startswith("multipart/") else "application/octet-stream"


class Hostile(Exception):
    """The mail is built to break the parser, or to keep it busy."""


def parse(octets: bytes) -> Part:
    """The mail, with overlong lines cut. Raises Hostile."""
    if octets.count(b"\n--") > LINES_LIMIT or _LONG_HEADER.search(octets):
        raise Hostile
    return BytesParser(Part).parsebytes(_LONG_LINE.sub(rb"\1", octets))


def kind_of(part: Message) -> str:
    """The part's true content type, in lower case."""
    return Message.get_content_type(part)


def leaves(mail: Message) -> Iterator[Message]:
    """The parts that are no containers, in their order."""
    waiting, seen = [mail], 0
    while waiting and seen < PARTS_LIMIT:
        part = waiting.pop(0)
        seen += 1
        inner = part.get_payload()
        if isinstance(inner, list):
            waiting = [one for one in inner if isinstance(one, Message)] + waiting
        else:
            yield part


def text_of(part: Message) -> str:
    """The part's content as text, with its transfer encoding removed."""
    octets = part.get_payload(decode=True)
    if not isinstance(octets, bytes):
        return ""
    try:
        return octets.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        return octets.decode("utf-8", "replace")


def fields_in(text: str) -> list[Message]:
    """The blocks of fields of a report's text."""
    blocks = re.split(r"(?:\r?\n[ \t]*)(?:\r?\n[ \t]*)+", text.strip("\r\n"))
    parser = Parser()
    return [parser.parsestr(block, headersonly=True) for block in blocks[:GROUPS_LIMIT]]


def field(fields: Message, name: str) -> str:
    """The field in one line; empty where there is none."""
    return " ".join(str(fields.get(name, "")).split())


def token(fields: Message, name: str) -> str:
    """A field with a single token, in lower case and without comments."""
    text, before = field(fields, name)[:TOKEN_LIMIT], None
    while text != before:
        text, before = re.sub(r"\([^()]*\)", " ", text), text
    return text.lower().strip(" ;.") if text else ""
