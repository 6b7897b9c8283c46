"""Declarations that a rule makes twice: `background: #c00; background: linear-gradient(…)` is for readers that know
no gradients, and both must be kept. The inlining library keeps the last of each property, so both go to it as one.
"""

import re
from collections.abc import Iterator

from apps.templates.liquid.markup import FILLER

TOKEN = re.compile(r"""\\.|"(?:[^"\\\n]|\\.)*+"|'(?:[^'\\\n]|\\.)*+'|[(){};]""", re.DOTALL)
IMPORTANT = re.compile(r"\s*!\s*important\s*\Z", re.IGNORECASE)


def joined(css: str) -> str:
    """`css`, without comments, with what a rule says of one property as one value of several."""
    parts, position = [], 0
    for start, end in _blocks(css):
        if len(named := list(_declarations(css[start:end]))) > len({name for name, _ in named}):
            parts += [css[position:start], ";".join(_merged(named))]
            position = end
    return "".join([*parts, css[position:]])


def split_declarations(style: str) -> tuple[list[str], list[str]]:
    """The declarations of an inlined style, and those that are important, in their order and without that word."""
    plain: list[str] = []
    important: list[str] = []
    for name, value in _declarations(style):
        for one in value.split(FILLER):
            bare = IMPORTANT.sub("", one).strip()
            (important if IMPORTANT.search(value) else plain).append(f"{name}: {bare}")
    return plain, important


def _merged(named: list[tuple[str, str]]) -> Iterator[str]:
    """One for each name, where the last of it stood. What is important leaves no room for what isn't."""
    by_name: dict[str, list[str]] = {}
    for name, value in named:
        # The last decides on the place, and an older one with the same value says nothing.
        values = by_name.pop(name, [])
        by_name[name] = [*(one for one in values if one != value), value]
    for name, values in by_name.items():
        important = [IMPORTANT.sub("", one) for one in values if IMPORTANT.search(one)]
        if name.startswith("--"):
            # A value of the author's own is always understood.
            values, important = values[-1:], important[-1:]
        yield f"{name}:{f' {FILLER} '.join(important or values)}{' !important' if important else ''}"


def _declarations(text: str) -> Iterator[tuple[str, str]]:
    """(name, value) of each; a name of nobody's own is in lower case."""
    position = depth = 0
    for found in (*TOKEN.finditer(text), None):
        sign = found[0] if found else ";"
        depth += (sign == "(") - (sign == ")" and depth > 0)
        if sign == ";" and (not depth or found is None):
            name, colon, value = text[position : found.start() if found else len(text)].partition(":")
            name = name.strip()
            if colon and name and value.strip():
                yield name if name.startswith("--") else name.lower(), value.strip()
            position = found.end() if found else len(text)


def _blocks(css: str) -> Iterator[tuple[int, int]]:
    """Where the insides of the blocks are that hold no block."""
    opened = -1
    for found in TOKEN.finditer(css):
        if found[0] == "{":
            opened = found.end()
        elif found[0] == "}" and opened >= 0:
            yield opened, found.start()
            opened = -1
