"""Text filters that replace the library's where those differ from Liquid's own."""

import html

from liquid import Environment
from liquid.filter import string_filter, with_environment
from liquid.limits import to_int
from markupsafe import escape as escaped


@with_environment
@string_filter
def escape(val: str, *, environment: Environment) -> str:
    """The text escaped for HTML, the five special characters as Liquid writes them."""
    # Text that is already marked safe is escaped again, as in Liquid.
    plain = str.__str__(val)
    return escaped(plain) if environment.autoescape else html.escape(plain).replace("&#x27;", "&#39;")


@string_filter
def split(val: str, sep: str) -> list[str]:
    """The parts, without trailing empty ones. A space splits at any whitespace, an empty `sep` into characters."""
    if not sep:
        return list(val)
    parts = val.split(None if sep == " " else sep)
    while parts and not parts[-1]:
        parts.pop()
    return parts


@string_filter
def truncate(val: str, num: object = 50, end: str = "...") -> str:
    """At most `num` characters including `end`; `end` alone where there is no room for more."""
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
