"""Limits on what a template may cost. A hostile one ends in an error within about a second and a few tens of MB.

The library's own limits count loop rounds, output and nesting. They don't cover what a single expression can do:
an endless range, a string doubled by its own filter, an integer squared again and again. So every filter
call is weighed before and after, and every node and filter is charged to one budget (`context`).
"""

from collections.abc import Callable, Mapping

from liquid.exceptions import ResourceLimitError
from liquid.filter import flatten
from liquid.token import Token

from apps.templates.liquid.errors import RenderError

LOOP_LIMIT = 10_000
"""Iterations of one loop, multiplied by those of the loops around it; also the length of a range."""
OUTPUT_LIMIT = 512 * 1024
"""Bytes of one rendered part; mail clients truncate a message at about 100 KB."""
VALUE_LIMIT = 256 * 1024
"""Weight of one filter's input or output: its characters, plus 8 for each item."""
NAMESPACE_LIMIT = 2 * VALUE_LIMIT
"""Weight of everything assigned and captured."""
VARIABLES_LIMIT = 1024 * 1024
"""Weight of all variables together; a request body is at most 256 KiB."""
VARIABLES_DEPTH = 32
STEP_LIMIT = 100_000
"""Nodes rendered, plus one for each filter and for each 128 units of weight it works on."""
CPU_LIMIT = 0.5
"""Seconds of this thread's CPU time per message, checked every 16 steps: for operations that steps underestimate."""
INTEGER_LIMIT = 10**30
DATE_LIMIT = 100
"""Characters of a date and of its format: on longer ones both parsers get slow or produce large output."""
UNIQ_LIMIT = 500
"""Items; the library compares each with each."""
PROPERTY_LIMIT = 200
"""Characters of an array filter's property name, which is converted to text once per item."""
DATA_KEYS_LIMIT = 32
"""Data keys of a push: each value is a template, and FCM accepts 4 KB in total."""


class TooMuch(ResourceLimitError):
    """A limit of this module is exceeded."""

    def __init__(self, message: str, token: Token | None = None) -> None:
        super().__init__(message, token=token)


class TooSlow(TooMuch):
    """The allowed time is used up."""


def weigh(value: object, limit: int = VALUE_LIMIT) -> int:
    """`value`'s weight, counting every occurrence of a shared object. Raises TooMuch once it exceeds `limit`."""
    # The common case first.
    if type(value) is str and len(value) <= limit:
        return len(value)
    if (
        value is None
        or type(value) is float
        or (type(value) is int and -INTEGER_LIMIT < value < INTEGER_LIMIT)
    ):
        return 0
    total, waiting = 0, [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            total += len(part)
        elif isinstance(part, list | tuple):
            total += 8 * len(part)
            waiting.extend(part)
        elif isinstance(part, dict):
            total += 8 * len(part)
            waiting.extend(part)
            waiting.extend(part.values())
        elif isinstance(part, range):
            total += 8 * max(0, part.stop - part.start)
        elif isinstance(part, int) and abs(part) >= INTEGER_LIMIT:
            raise TooMuch("a number is too large")
        if total > limit:
            raise TooMuch("a value grew too large")
    return total


def _replace(value: object, seq: object = "", sub: object = "") -> None:
    text, old, new = str(value), str(seq), str(sub)
    if len(text) + text.count(old) * (len(new) - len(old)) > VALUE_LIMIT:
        raise TooMuch("replace would make the text too long")


def _items(value: object) -> int:
    """The number of items that the library's array filters process: they flatten first."""
    return len(flatten(value)) if isinstance(value, list | tuple | range) else 1


def _join(value: object, separator: object = " ") -> None:
    if _items(value) * len(str(separator)) > VALUE_LIMIT:
        raise TooMuch("join would make the text too long")


def _date(value: object, form: object = "") -> None:
    if max(len(str(value)), len(str(form))) > DATE_LIMIT:
        raise TooMuch(f"date takes at most {DATE_LIMIT} characters")


def _uniq(value: object, key: object = None) -> None:
    _property(value, key)
    if _items(value) > UNIQ_LIMIT:
        raise TooMuch(f"uniq takes at most {UNIQ_LIMIT} items")


def _property(value: object, key: object = None, *more: object) -> None:
    if key is not None and (isinstance(key, list | dict | tuple) or weigh(key) > PROPERTY_LIMIT):
        raise TooMuch(f"a property name has at most {PROPERTY_LIMIT} characters")


BEFORE: Mapping[str, Callable[..., None]] = {
    "replace": _replace,
    "join": _join,
    "date": _date,
    **dict.fromkeys(
        ("compact", "find", "find_index", "has", "map", "reject", "sort", "sort_natural", "sum", "where"),
        _property,
    ),
    "uniq": _uniq,
}
"""Checks before filters whose result or work is not proportional to their input."""


def plain(variables: Mapping[str, object]) -> None:
    """Raises RenderError unless `variables` consists of dict, list, str, int, float, bool and None only.

    Exact types: a str subclass with `__html__` would bypass escaping.
    """
    waiting: list[tuple[object, int]] = [(variables, 0)]
    while waiting:
        part, depth = waiting.pop()
        kind = type(part)
        if depth > VARIABLES_DEPTH:
            raise RenderError(f"variables are nested deeper than {VARIABLES_DEPTH}", "variables")
        if kind is dict:
            if not all(type(key) is str for key in part):  # type: ignore[attr-defined]
                raise RenderError("names of variables must be strings", "variables")
            waiting.extend((value, depth + 1) for value in part.values())  # type: ignore[attr-defined]
        elif kind is list:
            waiting.extend((item, depth + 1) for item in part)  # type: ignore[attr-defined]
        elif part is not None and kind not in (str, int, float, bool):
            raise RenderError(f"a variable can't be of the type {kind.__name__}", "variables")
    try:
        weigh(variables, VARIABLES_LIMIT)
    except TooMuch as error:
        raise RenderError(f"the variables are too large: {error.message}", "variables") from None
