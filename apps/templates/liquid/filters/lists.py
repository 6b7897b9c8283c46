"""List filters that tolerate items without the property they look for."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from liquid import Environment, Markup
from liquid.builtin.expressions.logical import is_truthy
from liquid.exceptions import FilterError
from liquid.filter import sequence_filter, with_environment

from apps.templates.liquid.tags.conditions import equal
from apps.templates.liquid.values import number_of, text_of


def _property(item: object, key: str) -> Any:
    """The property `key` of `item`; None where it has none."""
    if isinstance(item, dict):
        return item.get(key)
    return key if isinstance(item, str) and key in item else None


def _of(item: object, key: object) -> Any:
    """As `_property`, but raises FilterError for a number, which has no properties."""
    if isinstance(item, int | float):
        raise FilterError("a number has no properties", token=None)
    return _property(item, text_of(key))


def _fits(item: object, key: object, value: object) -> bool:
    found = _of(item, key)
    return is_truthy(found) if value is None else equal(found, value)


@with_environment
@sequence_filter
def join(sequence: Sequence[object], separator: object = " ", *, environment: Environment) -> str:
    """The items as printed, with the separator between them."""
    between = text_of(separator)
    if environment.autoescape and between == " ":
        between = Markup(between)
    return between.join(text_of(item) for item in sequence)


@sequence_filter
def map_(sequence: Sequence[object], key: object) -> list[object]:
    """The property `key` of each item."""
    return [_of(item, key) for item in sequence]


@sequence_filter
def where(sequence: Sequence[object], key: object, value: object = None) -> list[object]:
    """The items whose property equals `value`; without a value, those whose property is truthy."""
    return [item for item in sequence if _fits(item, key, value)]


@sequence_filter
def reject(sequence: Sequence[object], key: object, value: object = None) -> list[object]:
    """The items that `where` would leave out."""
    return [item for item in sequence if not _fits(item, key, value)]


@sequence_filter
def find(sequence: Sequence[object], key: object, value: object = None) -> object:
    """The first item that `where` would return; nil if none."""
    return next((item for item in sequence if _fits(item, key, value)), None)


@sequence_filter
def find_index(sequence: Sequence[object], key: object, value: object = None) -> int | None:
    """The index of that item; nil if none."""
    return next((place for place, item in enumerate(sequence) if _fits(item, key, value)), None)


@sequence_filter
def has(sequence: Sequence[object], key: object, value: object = None) -> bool:
    """Whether there is such an item."""
    return any(_fits(item, key, value) for item in sequence)


@sequence_filter
def uniq(sequence: Sequence[object], key: object = None) -> list[object]:
    """The items without duplicates, or without those whose property equals an earlier item's."""
    seen: list[object] = []
    kept = []
    for item in sequence:
        value = item if key is None else _of(item, key)
        if not any(equal(value, one) for one in seen):
            seen.append(value)
            kept.append(item)
    return kept


@sequence_filter
def sum_(sequence: Sequence[object], key: object = None) -> float:
    """The sum of the items, or of one property of each."""
    numbers = [number_of(item if key is None else _of(item, key)) for item in sequence]
    if all(isinstance(number, int) for number in numbers):
        return sum(numbers)
    return float(sum(Decimal(str(number)) for number in numbers))


@sequence_filter
def compact(sequence: Sequence[object], key: object = None) -> list[object]:
    """The items that aren't nil, or whose property isn't."""
    if key is None:
        return [item for item in sequence if item is not None]
    return [item for item in sequence if _property(item, text_of(key)) is not None]


@sequence_filter
def sort(sequence: Sequence[object], key: object = None) -> list[object]:
    """In ascending order; nil and items without the property last, in their original order."""
    return _sorted(sequence, key, lambda value: value)


@sequence_filter
def sort_natural(sequence: Sequence[object], key: object = None) -> list[object]:
    """As `sort`, but by the values' text, case-insensitively."""
    return _sorted(sequence, key, lambda value: text_of(value).lower())


def _sorted(sequence: Sequence[object], key: object, order: Callable[[Any], Any]) -> list[object]:
    name = text_of(key)
    valued = [(_property(item, name) if name else item, item) for item in sequence]
    there = [pair for pair in valued if pair[0] is not None]
    try:
        there.sort(key=lambda pair: order(pair[0]))
    except TypeError as error:
        raise FilterError("these items have no order", token=None) from error
    return [item for _, item in there] + [item for value, item in valued if value is None]
