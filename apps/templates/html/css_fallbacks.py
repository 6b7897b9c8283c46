"""CSS fallbacks, which declare a property twice: `background: #c00; background: linear-gradient(…)` serves clients
that don't support gradients. The inlining library keeps only the last declaration of a property, so both are passed
to it as one value.
"""

import re
from collections.abc import Iterator

from apps.templates.liquid.markup import FILLER

TOKEN = re.compile(r"""\\.|"(?:[^"\\\n]|\\.)*+"|'(?:[^'\\\n]|\\.)*+'|[(){};]""", re.DOTALL)
IMPORTANT = re.compile(r"\s*!\s*important\s*\Z", re.IGNORECASE)


def joined(css: str) -> str:
    """`css`, without comments, with a rule's repeated declarations of a property joined into one value."""
    parts, position = [], 0
    for start, end in _blocks(css):
        if len(named := list(_declarations(css[start:end]))) > len({name for name, _ in named}):
            parts += [css[position:start], ";".join(_merged(named))]
            position = end
    return "".join([*parts, css[position:]])


def split_declarations(style: str) -> tuple[list[str], list[str]]:
    """(normal, important) declarations of an inlined style, in order; the important ones without `!important`."""
    plain: list[str] = []
    important: list[str] = []
    for name, value in _declarations(style):
        for one in value.split(FILLER):
            bare = IMPORTANT.sub("", one).strip()
            (important if IMPORTANT.search(value) else plain).append(f"{name}: {bare}")
    return plain, important


def _merged(named: list[tuple[str, str]]) -> Iterator[str]:
    """One declaration per name, at the position of its last. Important values replace normal ones."""
    by_name: dict[str, list[str]] = {}
    for name, value in named:
        # The last occurrence sets the position; an earlier one with the same value is redundant.
        values = by_name.pop(name, [])
        by_name[name] = [*(one for one in values if one != value), value]
    for name, values in by_name.items():
        important = [IMPORTANT.sub("", one) for one in values if IMPORTANT.search(one)]
        if name.startswith("--"):
            # Clients never reject a custom property's value, so it needs no fallback.
            values, important = values[-1:], important[-1:]
        yield f"{name}:{f' {FILLER} '.join(important or values)}{' !important' if important else ''}"


def _declarations(text: str) -> Iterator[tuple[str, str]]:
    """(name, value) of each declaration; names are lower-cased except custom properties (`--x`)."""
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
    """(start, end) of the inside of each innermost block."""
    opened = -1
    for found in TOKEN.finditer(css):
        if found[0] == "{":
            opened = found.end()
        elif found[0] == "}" and opened >= 0:
            yield opened, found.start()
            opened = -1
