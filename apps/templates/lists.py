"""Filters of lists that know an item may lack what they look for."""

from collections.abc import Callable, Sequence
from typing import Any

from liquid import Environment, Markup
from liquid.exceptions import FilterError
from liquid.filter import sequence_filter, with_environment

from .values import text_of


def _property(item: object, key: str) -> Any:
    """What `item` has under this name; None where it has nothing."""
    if isinstance(item, dict):
        return item.get(key)
    return key if isinstance(item, str) and key in item else None


@with_environment
@sequence_filter
def join(sequence: Sequence[object], separator: object = " ", *, environment: Environment) -> str:
    """The items as they are printed, with the separator between them."""
    between = text_of(separator)
    if environment.autoescape and between == " ":
        between = Markup(between)
    return between.join(text_of(item) for item in sequence)


@sequence_filter
def map_(sequence: Sequence[object], key: object) -> list[object]:
    """What each item has under this name."""
    if any(isinstance(item, int | float) for item in sequence):
        raise FilterError("a number has no properties", token=None)
    return [_property(item, text_of(key)) for item in sequence]


@sequence_filter
def compact(sequence: Sequence[object], key: object = None) -> list[object]:
    """The items that aren't nil, or whose property isn't."""
    if key is None:
        return [item for item in sequence if item is not None]
    return [item for item in sequence if _property(item, text_of(key)) is not None]


@sequence_filter
def sort(sequence: Sequence[object], key: object = None) -> list[object]:
    """In ascending order; nil, and items without the property, last and as they were."""
    return _sorted(sequence, key, lambda value: value)


@sequence_filter
def sort_natural(sequence: Sequence[object], key: object = None) -> list[object]:
    """The same by the items' texts, whatever their case."""
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
