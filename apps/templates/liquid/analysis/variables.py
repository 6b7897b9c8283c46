"""Finds the variables that a template uses, without rendering it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from liquid import BoundTemplate
from liquid.ast import ConditionalBlockNode, Node
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.tags.case_tag import CaseNode, MultiExpressionBlockNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression

from apps.templates.liquid.analysis.branches import branches, dotted, with_above
from apps.templates.liquid.context import BoundedContext
from apps.templates.liquid.engine import expressions, parse

PROVIDED: Mapping[str, object] = {"unsubscribe_url": None}
"""Variables that delivery adds for each recipient; nil where there is no recipient, as in a preview."""
BUILT_IN = frozenset({"now", "today", *PROVIDED})
"""Names that callers don't have to send: Liquid's own, and those that delivery adds."""
CONDITIONS = (IfNode, UnlessNode, ConditionalBlockNode, CaseNode, MultiExpressionBlockNode)


@dataclass(frozen=True, slots=True)
class VariableUse:
    """Dotted paths of global variables ("name", "order.id", "items.0.price"); no path is in both.

    `required`: rendering fails without it. `optional`: used only in conditions, under a condition that checks
    it or its parent, or with `default`. A path ends before the first computed segment.
    """

    required: frozenset[str]
    optional: frozenset[str]


def variables_of(*sources: str) -> VariableUse:
    """The variables that all `sources` together use. Raises TemplateSyntaxError."""
    required: set[str] = set()
    optional: set[str] = set()
    for source in sources:
        template = parse(source, False)
        for name, needed in _uses(template, template.nodes, set(BUILT_IN), frozenset(), frozenset()):
            (required if needed else optional).add(name)
    return VariableUse(frozenset(required), frozenset(optional - required))


def missing(use: VariableUse, variables: Mapping[str, object]) -> list[str]:
    """The required names that `variables` lacks, sorted. A name whose value is None counts as present."""
    return sorted(name for name in use.required if not _present(name.split("."), variables))


def _present(path: list[str], value: object) -> bool:
    for segment in path:
        if isinstance(value, Mapping) and segment in value:
            value = value[segment]
        elif segment == "size" and isinstance(value, Mapping | list | str):
            value = len(value)
        elif isinstance(value, list) and value and segment in ("first", "last"):
            value = value[0 if segment == "first" else -1]
        elif isinstance(value, list) and segment.lstrip("-").isdecimal():
            index = int(segment)
            if not -len(value) <= index < len(value):
                return False
            value = value[index]
        else:
            return False
    return True


def _uses(
    template: BoundTemplate,
    nodes: Iterable[Node],
    assigned: set[str],
    bound: frozenset[str],
    guarded: frozenset[str],
) -> Iterator[tuple[str, bool]]:
    """(name, needed) of every global in `nodes`. `assigned` grows as tags assign; `bound`: the loops' names;
    `guarded`: the paths that conditions around `nodes` have found to be present."""
    context = BoundedContext(template)
    for node in nodes:
        for expression in node.expressions():
            for path, needed in _paths(expression, not isinstance(node, CONDITIONS)):
                name = dotted(path)
                if name and path.path[0] not in assigned and path.path[0] not in bound:
                    yield name, needed and not _is_guarded(guarded, name)
        assigned.update(node.template_scope())
        inner = bound.union(node.block_scope())
        for child, known in branches(node, context):
            yield from _uses(template, [child], assigned, inner, guarded.union(known))


def _is_guarded(guarded: frozenset[str], name: str) -> bool:
    """Whether a condition has found the name, a parent of it or a field of it to be present."""
    return f"{name}." in guarded or not guarded.isdisjoint(with_above(name))


def _paths(expression: Expression, needed: bool) -> Iterator[tuple[Path, bool]]:
    """Every path in `expression`; not needed where `default` is its first filter."""
    replaced: set[int] = set()
    for part in expressions(expression):
        if isinstance(part, FilteredExpression) and part.filters and part.filters[0].name == "default":
            replaced.add(id(part.left))
        elif isinstance(part, Path):
            yield part, needed and id(part) not in replaced
