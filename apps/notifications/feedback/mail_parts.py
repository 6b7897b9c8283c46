"""A mail's parts as they stand in it: what it carries inside (a returned or forwarded mail, a report) stays closed
until somebody asks for it, so that what a person forwards is never taken for what the mail system says."""

import re
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser, Parser

PARTS_LIMIT = 40
LINES_LIMIT = 2000
"""Lines that may begin a part; with more the mail was made to take long."""
TOKEN_LIMIT = 500
"""Characters of a field that holds one word, with its comments."""
GROUPS_LIMIT = 50
"""Blocks of one report: the message's and each recipient's."""


# The standard library reads a header's parameters in a time that grows with the square of its length.
_LONG_LINE = re.compile(rb"^([^\n]{16384})[^\n]+", re.MULTILINE)
_LONG_HEADER = re.compile(
    rb"^content-[a-z-]{1,30}:(?:[^\n]{0,2000}\n[ \t]){200}", re.MULTILINE | re.IGNORECASE
)


class Part(Message):
    def get_content_type(self) -> str:
        """For the parser alone, which would read messages inside of messages: `kind_of` tells the true one."""
        kind = super().get_content_type()
        return kind if kind.startswith("multipart/") else "application/octet-stream"


class Hostile(Exception):
    """Made to break the parser, or to keep it busy."""


def parse(octets: bytes) -> Part:
    """Raises Hostile."""
    if octets.count(b"\n--") > LINES_LIMIT or _LONG_HEADER.search(octets):
        raise Hostile
    return BytesParser(Part).parsebytes(_LONG_LINE.sub(rb"\1", octets))


def kind_of(part: Message) -> str:
    return Message.get_content_type(part)


def leaves(mail: Message) -> Iterator[Message]:
    """The parts that hold something, in their order."""
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
    """What the part holds, out of whichever transfer encoding it is in."""
    octets = part.get_payload(decode=True)
    if not isinstance(octets, bytes):
        return ""
    try:
        return octets.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        return octets.decode("utf-8", "replace")


def fields_in(text: str) -> list[Message]:
    """The blocks of fields that a report consists of."""
    blocks = re.split(r"(?:\r?\n[ \t]*)(?:\r?\n[ \t]*)+", text.strip("\r\n"))
    parser = Parser()
    return [parser.parsestr(block, headersonly=True) for block in blocks[:GROUPS_LIMIT]]


def field(fields: Message, name: str) -> str:
    return " ".join(str(fields.get(name, "")).split())


def token(fields: Message, name: str) -> str:
    """A field that holds one word, in lower case and without the comments that may stand around it."""
    words, before = field(fields, name)[:TOKEN_LIMIT], None
    while words != before:
        words, before = re.sub(r"\([^()]*\)", " ", words), words
    return words.lower().strip(" ;.") if words else ""
