"""Finds filter calls that would fail at every rendering, when a source is saved.

Not checked when a stored version is rendered: the failing call may be in a branch that is never reached.
"""

import inspect
from collections.abc import Iterable, Iterator, Sequence

from liquid import BoundTemplate, Environment
from liquid.ast import Node
from liquid.builtin.expressions import FilteredExpression
from liquid.builtin.expressions.arguments import KeywordArgument
from liquid.builtin.expressions.filtered import Filter
from liquid.builtin.expressions.primitive import Literal, Nil
from liquid.exceptions import LiquidError, LiquidSyntaxError
from liquid.expression import Expression

from apps.templates.liquid.context import BoundedContext
from apps.templates.liquid.limits import TooSlow

CONSTANT = (Literal, Nil)
GIVEN = frozenset({"environment", "context"})
"""Arguments that the library passes, not the template's author."""
SAMPLES: Sequence[object] = (None, "1", 1, 1.5, ["1"], [{"1": 1}], {"1": 1})
FAILED = object()


def check_calls(template: BoundTemplate) -> None:
    """Raises LiquidSyntaxError, with the filter's place; TooSlow."""
    waiting: list[Node] = list(template.nodes)
    context = BoundedContext(template)
    while waiting:
        node = waiting.pop()
        waiting.extend(node.children(context, include_partials=False))
        for expression in _filtered(node.expressions()):
            _check(expression, BoundedContext(template))


def _filtered(expressions: Iterable[Expression]) -> Iterator[FilteredExpression]:
    waiting = list(expressions)
    while waiting:
        part = waiting.pop()
        waiting.extend(part.children())
        if isinstance(part, FilteredExpression):
            yield part


def _check(expression: FilteredExpression, context: BoundedContext) -> None:
    """Apply each filter to the value it will get if that is constant, else to one sample of each type."""
    values = [expression.left.evaluate(context)] if isinstance(expression.left, CONSTANT) else SAMPLES
    for used in expression.filters or ():
        _check_arguments(used, context.env)
        known = all(isinstance(argument.value, CONSTANT) for argument in used.args)
        made = [_applied(used, value, context) for value in values] if known else SAMPLES
        if all(one is FAILED for one in made):
            raise _error("can't work with what it is given here", used)
        values = made if known and len(made) == 1 else SAMPLES


def _applied(used: Filter, value: object, context: BoundedContext) -> object:
    try:
        return used.evaluate(value, context)
    except TooSlow:
        raise
    except LiquidError:
        return FAILED


def _check_arguments(used: Filter, env: Environment) -> None:
    _, *taken = inspect.signature(env.filters[used.name]).parameters.values()
    places = [one for one in taken if one.kind is one.POSITIONAL_OR_KEYWORD]
    named = [argument.name for argument in used.args if isinstance(argument, KeywordArgument)]
    for name in named:
        if name in GIVEN or all(one.name != name for one in taken):
            raise _error(f"has no argument named '{name[:50]}'", used)
    given = len(used.args) - sum(all(one.name != name for one in places) for name in named)
    least = sum(one.default is one.empty for one in places)
    if not least <= given <= len(places):
        wanted = str(least) if least == len(places) else f"{least} to {len(places)}"
        raise _error(f"takes {wanted} argument{'' if wanted == '1' else 's'}, not {given}", used)


def _error(message: str, used: Filter) -> LiquidSyntaxError:
    return LiquidSyntaxError(f"the filter {used.name} {message}", token=used.token)
