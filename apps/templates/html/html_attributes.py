"""`<mj-html-attributes>`: adds attributes to elements of the compiled HTML, chosen by CSS selectors. The MJML library
doesn't support it."""

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apps.templates.html.inlining import computed
from apps.templates.liquid.markup import FILLER, Tag, masked, tags
from apps.templates.liquid.scanning import spans

BLOCK, SELECTOR, ATTRIBUTE = "mj-html-attributes", "mj-selector", "mj-html-attribute"
NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:.-]*")
CHOSEN = re.compile(r"--chosen-([0-9]+):")
ODD = re.compile(r"[{};@]")


class SelectorError(Exception):
    """An invalid selector or attribute. `index`: its position in the markup."""

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message)
        self.message = message
        self.index = index


@dataclass(frozen=True, slots=True)
class AttributeRule:
    """An attribute for the elements that `path` selects. `value`: its (start, end) in the source."""

    path: str
    name: str
    value: tuple[int, int]


def blocks(markup: str) -> Iterator[tuple[int, int]]:
    """The position of each block, as (start, end)."""
    start = -1
    for tag in tags(markup):
        if tag.name != BLOCK:
            continue
        if tag.kind == "open":
            start = tag.start
        elif tag.kind == "empty":
            yield tag.start, tag.end
        elif start >= 0:
            yield start, tag.end
            start = -1


def attributes(markup: str) -> Iterator[AttributeRule]:
    """The rules in the blocks of a well-formed document. Raises SelectorError."""
    path, named = "", None
    for tag in tags(markup):
        if tag.name == SELECTOR and tag.kind == "open":
            path = _written(tag, "path")
            if ODD.search(path):
                raise SelectorError("a path must be one CSS selector", tag.start)
        elif tag.name == ATTRIBUTE and tag.kind == "open":
            named = tag
        elif tag.name == ATTRIBUTE and tag.kind == "close" and named:
            name = _written(named, "name")
            if not NAME.fullmatch(name):
                raise SelectorError("this is no valid attribute name", named.start)
            yield AttributeRule(path, name, (named.end, tag.start))


def _written(tag: Tag, name: str) -> str:
    attribute = tag.attribute(name)
    value = html.unescape(attribute.value).strip() if attribute else ""
    if not value or FILLER in value:
        raise SelectorError(f"<{tag.name}> needs a {name}, without Liquid", tag.start)
    return value


def with_attributes(made: str, wanted: list[tuple[AttributeRule, str]]) -> str:
    """`made` with each rule's attribute, whose value comes with it, set on the elements that its path selects."""
    if not wanted:
        return made
    css = "".join(f"{one.path}{{--chosen-{number}:1}}" for number, (one, _) in enumerate(wanted))
    parts, position = [], 0
    for tag, style in computed(masked(made, spans(made)), css):
        # Of several rules for the same name, the last wins.
        values = {
            wanted[int(number)][0].name: wanted[int(number)][1]
            for number in sorted(CHOSEN.findall(style), key=int)
        }
        at = tag.start + 1 + len(tag.name)
        parts += [made[position:at], *(f' {name}="{value}"' for name, value in values.items())]
        position = at
        for own in tag.attributes:
            if own.name in values:
                parts.append(made[position : own.begins].rstrip())
                position = max(own.start + len(own.text), own.begins + len(own.name))
    return "".join([*parts, made[position:]])


def quoted(source: str, opaque: Iterable[tuple[int, int]], start: int, end: int) -> str:
    """The source between `start` and `end`, escaped as an attribute's value, Liquid unchanged."""
    parts, position = [], start
    for begins, ends in opaque:
        if start <= begins < end:
            parts += [_escaped(source[position:begins]), source[begins:ends]]
            position = ends
    return "".join([*parts, _escaped(source[position:end])]).strip()


def _escaped(text: str) -> str:
    return text.replace('"', "&quot;").replace("<", "&lt;")
