"""What a version's author says about its variables: their types, which must come, and what stands in for them.

A declaration is a plain dict: `name` (dotted) and `type`, and where given `required`, `default`, `example`,
`description`, `sensitive`. Null is the same as not there. Pure: no I/O.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

from apps.templates.liquid.analysis.variables import VariableUse, missing

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*")
NAME_LIMIT = 100
VALUE_LIMIT = 8 * 1024
"""Characters of one default or example, as JSON: they are stored with every notification that needs them."""
VALUES_LIMIT = 64 * 1024
"""Of all of a version's defaults and examples together: a batch stores the defaults a thousand times."""
URL_LIMIT = 2048

Declaration = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class VariableError:
    """`field`: a dotted path from where the caller stands."""

    field: str
    detail: str
    code: str = "invalid"


def _is_url(value: object) -> bool:
    if not isinstance(value, str) or len(value) > URL_LIMIT or re.search(r"[\s\x00-\x1f\x7f]", value):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _is_date(value: object) -> bool:
    if not isinstance(value, str):
        return False
    for read in (date.fromisoformat, datetime.fromisoformat):
        try:
            read(value)
        except ValueError:
            continue
        return True
    return False


TYPES: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "string": ("a string", lambda value: isinstance(value, str)),
    "number": ("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "list": ("a list", lambda value: isinstance(value, list)),
    "object": ("an object", lambda value: isinstance(value, dict)),
    "url": ("an http or https address", _is_url),
    "date": ("a date such as 2026-01-31 or 2026-01-31T08:00:00Z", _is_date),
}
"""What to ask for, and whether a value is it, by the type's name."""


def errors_of(declared: Sequence[Declaration]) -> Iterator[VariableError]:
    """What is wrong with the declarations themselves: `[1].default`."""
    types: dict[str, str] = {}
    length = 0
    for position, one in enumerate(declared):
        name, kind = one["name"], one["type"]
        if len(name) > NAME_LIMIT or not NAME.fullmatch(name):
            yield VariableError(
                f"[{position}].name", "Use names of letters, digits, _ and -, joined by dots."
            )
        if name in types:
            yield VariableError(f"[{position}].name", f"{name} is declared twice.")
        types[name] = kind
        wanted, fits = TYPES[kind]
        for part in ("default", "example"):
            value = one.get(part)
            own = 0 if value is None else len(json.dumps(value))
            length += own
            if value is not None and not fits(value):
                yield VariableError(f"[{position}].{part}", f"The type is {kind}: give {wanted}.")
            elif own > VALUE_LIMIT:
                yield VariableError(
                    f"[{position}].{part}", f"Keep it under {VALUE_LIMIT} characters of JSON."
                )
            elif length > VALUES_LIMIT:
                yield VariableError(
                    f"[{position}].{part}",
                    f"Keep all defaults and examples together under {VALUES_LIMIT} characters of JSON.",
                )
        if one.get("required") and one.get("default") is not None:
            yield VariableError(
                f"[{position}].required", "What has a default is never missing; leave one of them out."
            )
    for position, one in enumerate(declared):
        for above in _above(one["name"]):
            if types.get(above, "object") != "object":
                yield VariableError(
                    f"[{position}].name", f"{above} is declared as {types[above]}, so it holds no names."
                )


def applied(
    declared: Sequence[Declaration], required: Iterable[str], variables: Mapping[str, Any]
) -> tuple[dict[str, Any], list[VariableError]]:
    """The variables with defaults filled in, and what is missing (`required`: what the sources need) or wrong."""
    filled = _filled(declared, variables, ("default",))
    absent = set(missing(VariableUse(frozenset(required), frozenset()), filled))
    wrong: dict[str, VariableError] = {}
    for one in declared:
        name, (wanted, fits) = one["name"], TYPES[one["type"]]
        value, blocked = _at(filled, name)
        if blocked:
            wrong[blocked] = VariableError(
                blocked, f"Send an object: the template uses {name}.", "wrong_type"
            )
        elif value is None and one.get("required"):
            absent.add(name)
        elif value is not None and not fits(value):
            wrong[name] = VariableError(name, f"Send {wanted}.", "wrong_type")
    # Who sends a text for `order` isn't told as well that `order.number` is missing.
    lacking = [
        VariableError(name, "The template uses this variable.", "required")
        for name in sorted(absent)
        if not any(above in wrong for above in (name, *_above(name)))
    ]
    return filled, [*lacking, *wrong.values()]


HIDDEN = "•••"
"""Shown in place of what a declaration calls sensitive."""


def hidden(declared: Sequence[Declaration], variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables as whoever looks after messages may see them: codes, and links that sign in, are not theirs."""
    shown: dict[str, Any] = dict(variables)
    for one in declared:
        *above, last = one["name"].split(".")
        if not one.get("sensitive") or _at(shown, one["name"])[0] is None:
            continue
        holder = shown
        for segment in above:
            holder[segment] = dict(holder[segment])
            holder = holder[segment]
        holder[last] = HIDDEN
    return shown


def value_of(variables: Mapping[str, Any], name: str) -> Any:
    """What stands at a dotted name; None where there is nothing."""
    return _at(variables, name)[0]


def examples(declared: Sequence[Declaration]) -> dict[str, Any]:
    """Variables to show a template with: each one's example, else its default."""
    return _filled(declared, {}, ("example", "default"))


def merged(declared: Sequence[Declaration], use: VariableUse) -> VariableUse:
    """What must come and what may, once the declarations have had their say about what the sources use."""
    named = {one["name"] for one in declared if one.get("required")}
    stood_in = {one["name"] for one in declared if one.get("default") is not None}
    required = (use.required - stood_in) | named
    return VariableUse(required, (use.optional | (use.required & stood_in)) - required)


def warnings(declared: Sequence[Declaration], use: VariableUse) -> list[str]:
    """Sentences about what is declared and not used."""
    used = use.required | use.optional
    return [
        f"{name} is declared, but no content uses it."
        for name in (str(one["name"]) for one in declared)
        if not any(f"{path}.".startswith(f"{name}.") or f"{name}.".startswith(f"{path}.") for path in used)
    ]


def _above(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _filled(
    declared: Sequence[Declaration], variables: Mapping[str, Any], parts: tuple[str, ...]
) -> dict[str, Any]:
    found: dict[str, Any] = dict(variables)
    copied: set[tuple[str, ...]] = set()
    # What holds others comes first, so that they are put into it.
    for one in sorted(declared, key=lambda one: one["name"].count(".")):
        value = next((one[part] for part in parts if one.get(part) is not None), None)
        present, blocked = _at(found, one["name"])
        if value is None or present is not None or blocked:
            continue
        *above, last = one["name"].split(".")
        holder = found
        for depth, segment in enumerate(above):
            # The caller's own, or a default that every message shares, stays as it is.
            if (path := tuple(above[: depth + 1])) not in copied:
                copied.add(path)
                holder[segment] = dict(holder.get(segment) or {})
            holder = holder[segment]
        holder[last] = value
    return found


def _at(variables: Mapping[str, Any], name: str) -> tuple[Any, str]:
    """(value, ""), None where there is none; or (None, the name of what is in the way and no object)."""
    value: Any = variables
    segments = name.split(".")
    for depth, segment in enumerate(segments):
        if not isinstance(value, Mapping):
            return None, ".".join(segments[:depth])
        value = value.get(segment)
        if value is None:
            return None, ""
    return value, ""
