"""A source's tags, read in linear time and without changing a byte of it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

FILLER = "\ue000"
"""Stands for each character of what isn't markup: Liquid, for one. Where an author writes it, it is taken for
that too, which costs the element its inlined styles and nothing else."""
TAG = re.compile(
    r"""<!--.*?(?:-->|\Z) | <![^>]*+>
    | </(?P<close>[a-zA-Z][^\s/>]*+)[^<>]*+>
    | <(?P<open>[a-zA-Z][^\s/<>]*+)(?P<rest>(?:[^<>"']|"[^"]*+"|'[^']*+')*+)>""",
    re.VERBOSE | re.DOTALL,
)
ATTRIBUTE = re.compile(r"""([^\s=/<>"']++)(?:\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s<>"']++))?""")
RAW = frozenset({"style", "script", "title", "textarea", "mj-style", "mj-title"})
"""Elements whose inside is no markup."""
VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)


@dataclass(frozen=True, slots=True)
class Attribute:
    """`text` with its quotes stands at `start`; empty where there is no value."""

    name: str
    text: str
    begins: int
    start: int

    @property
    def value(self) -> str:
        return self.text[1:-1] if self.text[:1] in "\"'" else self.text


@dataclass(frozen=True, slots=True)
class Tag:
    """`kind`: open, close, empty (which closes itself) or comment. `inside`: of a raw element's start tag, where
    its text is, as (start, end)."""

    kind: str
    name: str
    start: int
    end: int
    attributes: tuple[Attribute, ...] = ()
    inside: tuple[int, int] | None = None

    def attribute(self, name: str) -> Attribute | None:
        return next((one for one in self.attributes if one.name.lower() == name), None)


def masked(source: str, places: Iterable[tuple[int, int]]) -> str:
    """`source` with FILLER for what is at `places`, so that every other character stays where it is."""
    parts, position = [], 0
    for start, end in places:
        parts += [source[position:start], FILLER * (end - start)]
        position = end
    return "".join([*parts, source[position:]])


def tags(source: str) -> Iterator[Tag]:
    """Every comment, and every start and end tag that isn't inside one or inside a raw element."""
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
