"""The branches of a template's conditions, and the variables that are known to be present in each branch."""

from collections.abc import Iterator

from liquid import RenderContext
from liquid.ast import BlockNode, Node
from liquid.builtin.expressions import Path, StringLiteral
from liquid.builtin.expressions.logical import (
    BooleanExpression,
    ContainsExpression,
    EqExpression,
    GeExpression,
    GtExpression,
    LeExpression,
    LogicalAndExpression,
    LogicalOrExpression,
    LtExpression,
    NeExpression,
)
from liquid.builtin.expressions.primitive import (
    Blank,
    Empty,
    FalseLiteral,
    FloatLiteral,
    IntegerLiteral,
    Nil,
    TrueLiteral,
)
from liquid.builtin.tags.case_tag import CaseNode, MultiExpressionBlockNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression

NOTHING: frozenset[str] = frozenset()
SOMETHING = (StringLiteral, IntegerLiteral, FloatLiteral, TrueLiteral, FalseLiteral, Empty)
"""Expressions that no missing variable equals."""
NOT_THERE = (Nil, Blank)
"""Expressions that every missing variable equals."""
FAILING = (LtExpression, GtExpression, LeExpression, GeExpression, ContainsExpression)
"""Comparisons that are false where either side is missing."""


def branches(node: Node, context: RenderContext) -> Iterator[tuple[Node, frozenset[str]]]:
    """The children of `node`, each with the paths that are present whenever it is rendered."""
    if isinstance(node, IfNode | UnlessNode):
        holds = isinstance(node, IfNode)
        yield node.consequence, there_if(node.condition, holds)
        failed = there_if(node.condition, not holds)
        for other in node.alternatives:
            yield other, failed | there_if(other.expression, True)
            failed |= there_if(other.expression, False)
        if node.default:
            yield node.default, failed
    elif isinstance(node, CaseNode):
        failed = NOTHING
        for block in node.blocks:
            if isinstance(block, MultiExpressionBlockNode):
                yield block, _listed(block)
                failed |= _not_listed(block)
            elif isinstance(block, BlockNode):
                yield block, failed
    else:
        for child in node.children(context, include_partials=False):
            yield child, NOTHING


def _listed(block: MultiExpressionBlockNode) -> frozenset[str]:
    subject, listed = block.expression.left, block.expression.expressions
    return _named(subject) if all(isinstance(one, SOMETHING) for one in listed) else NOTHING


def _not_listed(block: MultiExpressionBlockNode) -> frozenset[str]:
    subject, listed = block.expression.left, block.expression.expressions
    return _named(subject) if any(isinstance(one, NOT_THERE) for one in listed) else NOTHING


def there_if(condition: Expression, holds: bool) -> frozenset[str]:
    """Paths that must be present if `condition` is true (`holds`) or false; their parents as `parent.`."""
    if isinstance(condition, BooleanExpression):
        return there_if(condition.expression, holds)
    if isinstance(condition, LogicalAndExpression | LogicalOrExpression):
        left, right = there_if(condition.left, holds), there_if(condition.right, holds)
        both = isinstance(condition, LogicalAndExpression) is holds
        return left | right if both else left & right
    if isinstance(condition, Path):
        return _named(condition) if holds else NOTHING
    if isinstance(condition, EqExpression | NeExpression):
        same = isinstance(condition, EqExpression) is holds
        proof = SOMETHING if same else NOT_THERE
        for side, other in ((condition.left, condition.right), (condition.right, condition.left)):
            if isinstance(other, proof):
                return _named(side)
    elif holds and isinstance(condition, FAILING):
        return _named(condition.left) | _named(condition.right)
    return NOTHING


def _named(expression: Expression) -> frozenset[str]:
    if not isinstance(expression, Path):
        return NOTHING
    name, *holders = with_above(dotted(expression))
    return frozenset((name, *(f"{holder}." for holder in holders)))


def with_above(name: str) -> list[str]:
    """`a.b.c`, `a.b`, `a`."""
    segments = name.split(".")
    return [".".join(segments[:length]) for length in range(len(segments), 0, -1)]


def dotted(path: Path) -> str:
    """`a.b.0`; ends before the first computed segment, and after one with a question mark at its end."""
    names: list[str] = []
    for segment in path.path:
        # `a?.b` would read as the b of an a that may be absent: see VariableUse.
        if not isinstance(segment, str | int) or "." in str(segment) or (names and names[-1].endswith("?")):
            break
        names.append(str(segment))
    return ".".join(names)
