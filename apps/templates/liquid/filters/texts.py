"""Filters of texts in place of the library's where those differ from Liquid's."""

import html

from liquid import Environment
from liquid.filter import string_filter, with_environment
from liquid.limits import to_int
from markupsafe import escape as escaped


@with_environment
@string_filter
def escape(val: str, *, environment: Environment) -> str:
    """The text as HTML, each of the five signs as Liquid writes it."""
    # What is markup already is a text here: its signs are meant.
    plain = str.__str__(val)
    return escaped(plain) if environment.autoescape else html.escape(plain).replace("&#x27;", "&#39;")


@string_filter
def split(val: str, sep: str) -> list[str]:
    """The parts, without empty ones at the end; at any blanks for one blank, and each letter for nothing."""
    if not sep:
        return list(val)
    parts = val.split(None if sep == " " else sep)
    while parts and not parts[-1]:
        parts.pop()
    return parts


@string_filter
def truncate(val: str, num: object = 50, end: str = "...") -> str:
    """At most so many characters, the end's among them; the end alone where there is no room beside it."""
    length = to_int(num)
    return val if len(val) <= length else val[: max(0, length - len(end))] + end


@string_filter
def replace_last(val: str, seq: str, sub: str) -> str:
    """The text with its last `seq` replaced."""
    before, found, after = _last(val, seq)
    return before + sub + after if found else val


@string_filter
def remove_last(val: str, arg: str) -> str:
    """The text without its last `arg`."""
    before, _, after = _last(val, arg)
    return before + after


def _last(val: str, sought: str) -> tuple[str, bool, str]:
    at = val.rfind(sought)
    return (val, False, val[:0]) if at < 0 else (val[:at], True, val[at + len(sought) :])
