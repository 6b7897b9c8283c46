"""Comparisons in conditions: nil, false and a missing variable are blank; `contains` searches a text for the other
value as printed."""

from collections.abc import Collection, Mapping

from liquid import RenderContext
from liquid.builtin.expressions.logical import (
    ContainsExpression,
    EqExpression,
    NeExpression,
    is_truthy,
)
from liquid.builtin.expressions.primitive import Blank, Empty
from liquid.builtin.tags.case_tag import _AnyExpression
from liquid.expression import Expression
from liquid.undefined import is_undefined

from apps.templates.liquid.values import text_of


def is_blank(value: object) -> bool:
    """Nil, false, missing, empty, or whitespace only."""
    if isinstance(value, str):
        return not value or value.isspace()
    if isinstance(value, list | tuple | dict | range):
        return not value
    return value is None or value is False or isinstance(value, Blank) or is_undefined(value)


def equal(left: object, right: object) -> bool:
    """Equality as in Liquid; 1 is not equal to true."""
    if isinstance(right, Blank | Empty):
        left, right = right, left
    if isinstance(left, Blank):
        return is_blank(right)
    missing = is_undefined(left), is_undefined(right)
    if any(missing):
        return all(gone or value is None for gone, value in zip(missing, (left, right), strict=True))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return left == right


class _Equal(EqExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        return equal(self.left.evaluate(context), self.right.evaluate(context))


class _Unequal(NeExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        return not equal(self.left.evaluate(context), self.right.evaluate(context))


class _AnyOf(_AnyExpression):
    """The values of a `when`."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> list[bool]:
        subject = self.left.evaluate(context)
        return [equal(subject, one.evaluate(context)) for one in self.expressions]


class _Contains(ContainsExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        left, right = self.left.evaluate(context), self.right.evaluate(context)
        if not is_truthy(left) or not is_truthy(right):
            return False
        if isinstance(left, str):
            return text_of(right) in left
        if isinstance(left, dict):
            return isinstance(right, str) and right in left
        if isinstance(right, bool):
            return isinstance(left, list) and any(item is right for item in left)
        return isinstance(left, Collection) and right in left


OURS: Mapping[type[Expression], type[Expression]] = {
    EqExpression: _Equal,
    NeExpression: _Unequal,
    ContainsExpression: _Contains,
    _AnyExpression: _AnyOf,
}
"""By the library's comparison class, our replacement with the same memory layout (`__slots__`)."""
