"""Conversion of values to text and numbers, as in Liquid.

Nil becomes an empty text, true and false the words `true` and `false`, a list its items joined. An object becomes
JSON: Liquid's own form is Ruby syntax, and Python's repr would be no better.
"""

import json
import re
from contextlib import suppress

from markupsafe import Markup

EXPONENT = re.compile(r"([0-9]+)(\.[0-9]+)?e([+-][0-9]+)")
LEADING = re.compile(r"\s*([+-]?[0-9]{1,400})")


def text_of(value: object) -> str:
    """`value` as printed. Markup stays markup, and a list that contains any becomes markup."""
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
    """Always with a fraction, also before an exponent: `1.0e+20`."""
    written = repr(value)
    if found := EXPONENT.fullmatch(written.removeprefix("-")):
        sign = "-" if value < 0 else ""
        return f"{sign}{found[1]}{found[2] or '.0'}e{found[3]}"
    return written


def number_of(value: object) -> float:
    """`value` as a number for arithmetic filters: a text counts as the number it begins with, anything else as 0."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0
    if not isinstance(value, str):
        return value
    for read in (int, float):
        with suppress(ValueError):
            return read(value)
    found = LEADING.match(value)
    return int(found[1]) if found else 0
