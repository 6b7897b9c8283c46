"""Reads and writes `name: value` lines, a format for authors who don't write JSON."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError


def parse(text: str) -> dict[str, str]:
    """Each line's name and value; a text that begins with `{` is read as JSON. Raises ValidationError."""
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except ValueError as error:
            raise ValidationError(f"This is not JSON: {error}.") from error
        return {
            str(key): value if isinstance(value, str) else json.dumps(value) for key, value in found.items()
        }
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, colon, value = line.partition(":")
        if not line.strip():
            continue
        if not colon or not name.strip():
            raise ValidationError(f"Line {number} should look like `name: value`.")
        values[name.strip()] = value.strip()
    return values


def written(values: Mapping[str, str]) -> str:
    """The inverse of `parse`: lines, or JSON where lines can't express the values."""
    text = "\n".join(f"{name}: {value}" for name, value in values.items())
    return text if not values or parse_quietly(text) == dict(values) else json.dumps(values, indent=2)


def parse_quietly(text: str) -> dict[str, str] | None:
    try:
        return parse(text)
    except ValidationError:
        return None


def variables(samples: Mapping[str, str], names: Iterable[str]) -> dict[str, Any]:
    """Variables to preview with: `samples` (a dotted name sets a nested value; a value may be JSON), and `[name]`
    as a placeholder for each of `names` without a sample."""
    tree: dict[str, Any] = {}
    for name, text in samples.items():
        _put(tree, name.split("."), _value(text))
    for name in sorted(names, key=lambda name: -name.count(".")):
        _put(tree, name.split("."), f"[{name}]")
    return {name: _listed(value) for name, value in tree.items()}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    """Store `value` at `path` unless a value exists there already."""
    for part in path[:-1]:
        inner = tree.setdefault(part, {})
        if not isinstance(inner, dict):
            return
        tree = inner
    tree.setdefault(path[-1], value)


def _listed(value: Any) -> Any:
    """Dictionaries whose keys are all indexes become lists: `items.0.price` is a field of a list item."""
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(part) for key, part in value.items()}
    if inner and all(key.isdecimal() for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner
