"""Finds the variables that a template uses, without rendering it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

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
    it, or with `default`; written `order?.note`: under a condition that checks no more than `order`, so that
    rendering may fail without `order.note` where `order` is given. A path ends before the first computed segment.
    """

    required: frozenset[str]
    optional: frozenset[str]

    @classmethod
    def of(cls, needs: Iterable[tuple[str, int]]) -> Self:
        """From (path, segments) as in `needs`. A path that comes twice is needed in either case: the least counts."""
        least: dict[str, int] = {}
        for name, given in needs:
            least[name] = min(given, least.get(name, given))
        return cls(
            frozenset(name for name, given in least.items() if not given),
            frozenset(_marked(name, given) for name, given in least.items() if given),
        )

    @property
    def needs(self) -> dict[str, int]:
        """By path: how many of its first segments must be given for rendering to need the rest. 0: it is required;
        all of them: it may always be left out."""
        return dict.fromkeys(self.required, 0) | {
            _unmarked(entry): segments(entry.partition(MARK)[0]) for entry in self.optional
        }


MARK = "?."
"""In `order?.note`: the object before it may be left out, but not the field after it where the object is given."""


def _marked(name: str, given: int) -> str:
    names = name.split(".")
    return MARK.join(filter(None, (".".join(names[:given]), ".".join(names[given:]))))


def _unmarked(entry: str) -> str:
    return entry.replace(MARK, ".")


def segments(name: str) -> int:
    """How many segments a dotted path has."""
    return name.count(".") + 1


def variables_of(*sources: str) -> VariableUse:
    """The variables that all `sources` together use. Raises TemplateSyntaxError."""
    templates = [parse(source, False) for source in sources]
    return VariableUse.of(
        found
        for template in templates
        for found in _uses(template, template.nodes, set(BUILT_IN), frozenset(), frozenset())
    )


def missing(use: VariableUse, variables: Mapping[str, object]) -> list[str]:
    """The required names that `variables` lacks, sorted. A name whose value is None counts as present."""
    return sorted(name for name in use.required if not _present(name.split("."), variables))


def missed(optional: Iterable[str], variables: Mapping[str, object], name: str) -> list[tuple[str, str]]:
    """(path, object) of each `order?.note` in `optional` that a rendering with `variables` failed for, sorted.

    `name`: RenderError.missing, which may end before the path does.
    """
    found = []
    for entry in optional:
        holder, mark, _ = entry.partition(MARK)
        path = _unmarked(entry)
        if (
            mark
            and f"{_without_indexes(path)}.".startswith(f"{_without_indexes(name)}.")
            and _present(holder.split("."), variables)
            and not _present(path.split("."), variables)
        ):
            found.append((path, holder))
    return sorted(found)


def _without_indexes(name: str) -> str:
    return ".".join(segment for segment in name.split(".") if not _is_index(segment))


def _is_index(segment: str) -> bool:
    return segment.lstrip("-").isdecimal()


def _present(path: list[str], value: object) -> bool:
    for segment in path:
        if isinstance(value, Mapping) and segment in value:
            value = value[segment]
        elif segment == "size" and isinstance(value, Mapping | list | str):
            value = len(value)
        elif isinstance(value, list) and value and segment in ("first", "last"):
            value = value[0 if segment == "first" else -1]
        elif isinstance(value, list) and _is_index(segment):
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
) -> Iterator[tuple[str, int]]:
    """(path, segments) of every global in `nodes`, as in `VariableUse.needs`. `assigned` grows as tags assign;
    `bound`: the loops' names; `guarded`: the paths that conditions around `nodes` have found to be present."""
    context = BoundedContext(template)
    for node in nodes:
        for expression in node.expressions():
            for path, needed in _paths(expression, not isinstance(node, CONDITIONS)):
                name = dotted(path)
                if name and path.path[0] not in assigned and path.path[0] not in bound:
                    yield name, _guarded_segments(guarded, name) if needed else segments(name)
        assigned.update(node.template_scope())
        inner = bound.union(node.block_scope())
        for child, known in branches(node, context):
            yield from _uses(template, [child], assigned, inner, guarded.union(known))


def _guarded_segments(guarded: frozenset[str], name: str) -> int:
    """How many of the path's first segments conditions have found to be present: all where they have found the path
    itself or a field of it."""
    if f"{name}." in guarded:
        return segments(name)
    return next((segments(above) for above in with_above(name) if above in guarded), 0)


def _paths(expression: Expression, needed: bool) -> Iterator[tuple[Path, bool]]:
    """Every path in `expression`; not needed where `default` is its first filter."""
    replaced: set[int] = set()
    for part in expressions(expression):
        if isinstance(part, FilteredExpression) and part.filters and part.filters[0].name == "default":
            replaced.add(id(part.left))
        elif isinstance(part, Path):
            yield part, needed and id(part) not in replaced
