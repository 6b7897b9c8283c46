"""A mail's parts as they stand in it: what it carries inside (a returned or forwarded mail, a report) stays closed
until somebody asks for it, so that what a person forwards is never taken for what the mail system says."""

import re
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser, Parser

PARTS_LIMIT = 40
GROUPS_LIMIT = 50
"""Blocks of one report: the message's and each recipient's."""


class Part(Message):
    def get_content_type(self) -> str:
        """For the parser alone, which would read messages inside of messages: `kind_of` tells the true one."""
        kind = super().get_content_type()
        return kind if kind.startswith("multipart/") else "application/octet-stream"


def parse(octets: bytes) -> Part:
    return BytesParser(Part).parsebytes(octets)


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
    return octets.decode("utf-8", "replace") if isinstance(octets, bytes) else ""


def fields_in(text: str) -> list[Message]:
    """The blocks of fields that a report consists of."""
    blocks = re.split(r"(?:\r?\n[ \t]*)(?:\r?\n[ \t]*)+", text.strip("\r\n"))
    parser = Parser()
    return [parser.parsestr(block, headersonly=True) for block in blocks[:GROUPS_LIMIT]]


def field(fields: Message, name: str) -> str:
    return " ".join(str(fields.get(name, "")).split())


def token(fields: Message, name: str) -> str:
    """A field that holds one word, in lower case and without the comments that may stand around it."""
    words, before = field(fields, name), None
    while words != before:
        words, before = re.sub(r"\([^()]*\)", " ", words), words
    return words.lower().strip(" ;.") if words else ""
