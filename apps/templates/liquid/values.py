"""What Liquid makes of a value where a text or a number is wanted.

Nil is an empty text, true and false are words, a list is its items one after the other. An object is JSON: Liquid's
own form of it belongs to its programming language, and so does ours.
"""

import json
import re
from contextlib import suppress

from markupsafe import Markup

EXPONENT = re.compile(r"([0-9]+)(\.[0-9]+)?e([+-][0-9]+)")
LEADING = re.compile(r"\s*([+-]?[0-9]{1,400})")


def text_of(value: object) -> str:
    """`value` as it is printed. Markup stays markup, and makes markup of the list it is in."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _decimal(value)
    if isinstance(value, list | tuple):
        items = [text_of(item) for item in value]
        return Markup("").join(items) if any(isinstance(item, Markup) for item in items) else "".join(items)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=text_of)
    if isinstance(value, range):
        return f"{value.start}..{value.stop - 1}"
    return str(value)


def _decimal(value: float) -> str:
    """With a fraction always, also before an exponent: `1.0e+20`."""
    written = repr(value)
    if found := EXPONENT.fullmatch(written.removeprefix("-")):
        sign = "-" if value < 0 else ""
        return f"{sign}{found[1]}{found[2] or '.0'}e{found[3]}"
    return written


def number_of(value: object) -> float:
    """`value`, or what a filter that reckons takes for it: a text counts for the number it begins with, and what is
    no number for 0."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0
    if not isinstance(value, str):
        return value
    for read in (int, float):
        with suppress(ValueError):
            return read(value)
    found = LEADING.match(value)
    return int(found[1]) if found else 0
