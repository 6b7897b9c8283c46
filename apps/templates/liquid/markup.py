"""Parses the tags of a source in linear time, with exact positions."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

FILLER = "\ue000"
"""Replaces each character of text that isn't markup, such as Liquid. If an author's source contains this character,
it is treated the same way, which costs only the element's inlined styles."""
TAG = re.compile(
    r"""<!--.*?(?:-->|\Z) | <![^>]*+>
    | </(?P<close>[a-zA-Z][^\s/>]*+)[^<>]*+>
    | <(?P<open>[a-zA-Z][^\s/<>]*+)(?P<rest>(?:[^<>"']|"[^"]*+"|'[^']*+')*+)>""",
    re.VERBOSE | re.DOTALL,
)
ATTRIBUTE = re.compile(r"""([^\s=/<>"']++)(?:\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s<>"']++))?""")
RAW = frozenset({"style", "script", "title", "textarea", "mj-style", "mj-title"})
"""Elements whose content is not markup."""
VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)


@dataclass(frozen=True, slots=True)
class Attribute:
    """`text`: the value with its quotes, at `start`; empty without a value. `begins`: the position of the name."""

    name: str
    text: str
    begins: int
    start: int

    @property
    def value(self) -> str:
        return self.text[1:-1] if self.text[:1] in "\"'" else self.text


@dataclass(frozen=True, slots=True)
class Tag:
    """`kind`: open, close, empty (self-closing) or comment. `inside`: for a raw element's start tag, the
    (start, end) of its content."""

    kind: str
    name: str
    start: int
    end: int
    attributes: tuple[Attribute, ...] = ()
    inside: tuple[int, int] | None = None

    def attribute(self, name: str) -> Attribute | None:
        return next((one for one in self.attributes if one.name.lower() == name), None)


def masked(source: str, places: Iterable[tuple[int, int]]) -> str:
    """`source` with FILLER for each character at `places`, so that all other positions stay the same."""
    parts, position = [], 0
    for start, end in places:
        parts += [source[position:start], FILLER * (end - start)]
        position = end
    return "".join([*parts, source[position:]])


def tags(source: str) -> Iterator[Tag]:
    """Every comment, and every start and end tag that is not inside a comment or a raw element."""
    position = 0
    while found := TAG.search(source, position):
        position = found.end()
        if not found["close"] and not found["open"]:
            yield Tag("comment", "", found.start(), found.end())
        elif found["close"]:
            yield Tag("close", found["close"], found.start(), found.end())
        else:
            name, inside = found["open"], None
            empty = found["rest"].endswith("/")
            if name.lower() in RAW and not empty:
                ending = re.compile(rf"</{re.escape(name)}(?![\w-])", re.IGNORECASE).search(source, position)
                inside = (position, ending.start() if ending else len(source))
                position = inside[1]
            yield Tag(
                "empty" if empty else "open",
                name,
                found.start(),
                found.end(),
                tuple(_attributes(found["rest"], found.start("rest"))),
                inside,
            )


def _attributes(text: str, at: int) -> Iterator[Attribute]:
    for found in ATTRIBUTE.finditer(text):
        yield Attribute(found[1], found[2] or "", at + found.start(), at + max(found.start(2), 0))
