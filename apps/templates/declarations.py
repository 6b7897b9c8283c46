"""Declarations of a version's variables: type, whether required, default and example; validated and applied.

A declaration is a plain dict: `name` (dotted) and `type`, and where given `required`, `default`, `example`,
`description`, `sensitive`. A null value counts as missing. Pure: no I/O.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

from apps.templates.liquid.analysis.variables import VariableUse, missing, segments

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*")
NAME_LIMIT = 100
VALUE_LIMIT = 8 * 1024
"""Characters of one default or example, as JSON: they are stored with every notification that needs them."""
VALUES_LIMIT = 64 * 1024
"""Characters of all of a version's defaults and examples together: a batch stores the defaults 1000 times."""
URL_LIMIT = 2048

Declaration = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class VariableError:
    """`field`: a dotted path relative to the declarations or the variables, whichever were checked."""

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
"""By type name: a description for error messages, and a predicate for values."""


def errors_of(declared: Sequence[Declaration]) -> Iterator[VariableError]:
    """The errors in the declarations themselves, with fields such as `[1].default`."""
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
                f"[{position}].required",
                "A variable with a default is never missing; remove required or default.",
            )
    for position, one in enumerate(declared):
        for above in _above(one["name"]):
            if types.get(above, "object") != "object":
                yield VariableError(
                    f"[{position}].name", f"{above} is declared as {types[above]}, so it has no fields."
                )


def applied(
    declared: Sequence[Declaration], required: Iterable[str], variables: Mapping[str, Any]
) -> tuple[dict[str, Any], list[VariableError]]:
    """(variables with defaults filled in, errors for missing and mistyped ones). `required`: the sources' needs."""
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
    # A wrong type for `order` is reported alone, without `order.number` as missing.
    lacking = [
        VariableError(name, "The template uses this variable.", "required")
        for name in sorted(absent)
        if not any(above in wrong for above in (name, *_above(name)))
    ]
    return filled, [*lacking, *wrong.values()]


HIDDEN = "•••"
"""Shown in place of a sensitive value."""


def hidden(declared: Sequence[Declaration], variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables as operators may see them: sensitive ones, such as codes and sign-in links, are replaced."""
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
    """The value at a dotted name; None where there is none."""
    return _at(variables, name)[0]


def examples(declared: Sequence[Declaration]) -> dict[str, Any]:
    """Variables for a preview: each one's example, else its default."""
    return _filled(declared, {}, ("example", "default"))


def merged(declared: Sequence[Declaration], use: VariableUse) -> VariableUse:
    """The required and optional variables, given what the sources use and what the declarations say."""
    named = {one["name"]: 0 for one in declared if one.get("required")}
    needs = use.needs
    stood_in = {
        name: segments(name)
        for name in (one["name"] for one in declared if one.get("default") is not None)
        if name in needs
    }
    return VariableUse.of((needs | stood_in | named).items())


def warnings(declared: Sequence[Declaration], use: VariableUse) -> list[str]:
    """A sentence for each declared variable that no content uses."""
    used = use.needs
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
    # Parents before children, so that a child's default is put into its parent.
    for one in sorted(declared, key=lambda one: one["name"].count(".")):
        value = next((one[part] for part in parts if one.get(part) is not None), None)
        present, blocked = _at(found, one["name"])
        if value is None or present is not None or blocked:
            continue
        *above, last = one["name"].split(".")
        holder = found
        for depth, segment in enumerate(above):
            # Copy before writing: the caller's object, or a default that all messages share, must not change.
            if (path := tuple(above[: depth + 1])) not in copied:
                copied.add(path)
                holder[segment] = dict(holder.get(segment) or {})
            holder = holder[segment]
        holder[last] = value
    return found


def _at(variables: Mapping[str, Any], name: str) -> tuple[Any, str]:
    """(value or None, ""); or (None, name) where the value at `name`, a parent, is not an object."""
    value: Any = variables
    segments = name.split(".")
    for depth, segment in enumerate(segments):
        if not isinstance(value, Mapping):
            return None, ".".join(segments[:depth])
        value = value.get(segment)
        if value is None:
            return None, ""
    return value, ""
