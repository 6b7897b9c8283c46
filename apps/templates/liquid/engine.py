"""The Liquid environment without access to files or other templates; sources are checked before the library's
regular expressions process them.

Removed: `include` and `render` (partials are inserted earlier: see `assembling`) and the `safe` filter (a
variable's text is always escaped in HTML).
"""

import re
from collections.abc import Iterator
from io import StringIO
from typing import NoReturn, cast

from liquid import BoundTemplate, Environment, Mode
from liquid.ast import Node
from liquid.builtin.expressions import FilteredExpression
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.tags.if_tag import IfTag
from liquid.builtin.tags.unless_tag import UnlessTag
from liquid.exceptions import LiquidError, LiquidSyntaxError
from liquid.expression import Expression
from liquid.stream import TokenStream
from liquid.tag import Tag
from liquid.token import Token

from apps.templates.liquid.analysis.filter_calls import check_calls
from apps.templates.liquid.context import BoundedContext, BoundedRange, Missing, unchanged_buffer
from apps.templates.liquid.errors import TemplateSyntaxError, syntax_error
from apps.templates.liquid.filters.registry import OURS
from apps.templates.liquid.flat import Flat
from apps.templates.liquid.limits import LOOP_LIMIT, OUTPUT_LIMIT
from apps.templates.liquid.scanning import prepared, spans
from apps.templates.liquid.tags import conditions
from apps.templates.liquid.tags.printing import Cycled, Echoed, Printed
from notifier.lib.bounded_cache import BoundedCache

SOURCE_LIMIT = 64 * 1024
"""Bytes of one part's source."""
COMPILED_LIMIT = 256 * 1024
"""Bytes of a part assembled with its layout and partials, and of the HTML compiled from its MJML."""
PARSED_LIMIT = 64 * 1024 * 1024
"""Approximate bytes of all parsed sources that a process caches."""
NODE_WEIGHT = 100
"""Bytes of memory that a parsed template takes per character inside its braces, where these are dense."""
LEFT_OPEN = re.compile(r"expected tag (\w+), found end of")


IN_PLACE: dict[type[Expression], type[Expression]] = {RangeLiteral: BoundedRange, **conditions.OURS}
"""The library's expression classes, and our subclasses that replace them in a parsed template."""


class _NotHere(Tag):
    block = False

    def parse(self, stream: TokenStream) -> NoReturn:
        raise LiquidSyntaxError(
            f'{{% {self.name} %}} is not available; {{% render "name" %}}, by itself, includes a partial',
            token=stream.current,
        )


class _Include(_NotHere):
    name = "include"


class _Render(_NotHere):
    name = "render"


# The library's `if` and `unless` silently drop what follows an invalid `else` ("{% else if x %}").
class _If(IfTag):
    mode = Mode.STRICT


class _Unless(UnlessTag):
    mode = Mode.STRICT


class _Template(BoundTemplate):
    context_class = BoundedContext
    flat: Flat | None = None
    """A fast equivalent for templates with text and plain variables only; else None."""

    def _get_buffer(self) -> StringIO:
        return unchanged_buffer(OUTPUT_LIMIT)


class _Environment(Environment):
    block_nesting_limit = 30
    context_depth_limit = 30
    loop_iteration_limit = LOOP_LIMIT
    output_stream_limit = OUTPUT_LIMIT
    template_class = _Template

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=False)
        del self.filters["safe"]
        for name, function in OURS.items():
            self.add_filter(name, function)
        for tag in (_Include, _Render, _If, _Unless, Printed, Echoed, Cycled):
            self.add_tag(tag)

    def error(
        self, exc: type[LiquidError] | LiquidError, msg: str | None = None, token: Token | None = None
    ) -> None:
        # The token at the end of a tag has no position: use the parser's current one.
        if isinstance(exc, LiquidError) and exc.token and exc.token.start_index < 0 and token:
            exc.token = token
        super().error(exc, msg, token)


_HTML = _Environment(autoescape=True, undefined=Missing)
_TEXT = _Environment(autoescape=False, undefined=Missing)


def expressions(expression: Expression) -> Iterator[Expression]:
    """`expression` and all its parts, without recursion (the author decides the nesting depth)."""
    waiting = [expression]
    while waiting:
        part = waiting.pop()
        yield part
        waiting.extend(part.children())


def _harden(template: BoundTemplate) -> None:
    """Replace range literals and comparisons by ours; refuse unknown filters, which the library reports only
    when rendering."""
    context = BoundedContext(template)
    waiting: list[Node] = list(template.nodes)
    while waiting:
        node = waiting.pop()
        waiting.extend(node.children(context, include_partials=False))
        for whole in node.expressions():
            for part in expressions(whole):
                if ours := IN_PLACE.get(type(part)):
                    part.__class__ = ours
                elif isinstance(part, FilteredExpression):
                    for used in part.filters or ():
                        if used.name not in template.env.filters:
                            raise LiquidSyntaxError(f"there is no filter '{used.name}'", token=used.token)


def bound(source: str, limit: int) -> None:
    """Raises TemplateSyntaxError if `source` is longer than `limit` bytes."""
    if len(source) > limit or len(source.encode("utf-8", "surrogatepass")) > limit:
        raise TemplateSyntaxError(f"the source is longer than {limit // 1024} KiB", 1, 1)


def parse(source: str, html: bool) -> _Template:
    """`source` parsed, cached in the process. `html`: variables are escaped. Raises TemplateSyntaxError."""
    return _parsed(source, html)


def check(source: str, html: bool) -> None:
    """Validate a source that is being saved: it must parse, and must not fail at every rendering.

    Raises TemplateSyntaxError.
    """
    template = parse(source, html)
    try:
        check_calls(template)
    except LiquidSyntaxError as error:
        raise _placed(error, source) from None


def _parse(source: str, html: bool) -> tuple[_Template, int]:
    bound(source, COMPILED_LIMIT)
    weight = len(source) + sum(end - start for start, end in spans(source)) * NODE_WEIGHT
    try:
        template = cast(_Template, (_HTML if html else _TEXT).from_string(prepared(source)))
        _harden(template)
        template.flat = Flat.of(template, html=html)
    except LiquidError as error:
        if isinstance(error.__cause__, RecursionError):
            raise TemplateSyntaxError("an expression is nested too deeply", 1, 1) from None
        raise _placed(error, source) from None
    return template, weight


def _placed(error: LiquidError, source: str) -> TemplateSyntaxError:
    at = error.token.start_index if error.token and error.token.start_index >= 0 else len(source)
    return syntax_error(_sentence(str(error.message)), source, at)


_parsed = BoundedCache(_parse, most=PARSED_LIMIT)


def _sentence(message: str) -> str:
    if left_open := LEFT_OPEN.search(message):
        return f"{{% {left_open[1]} %}} is missing: the template ends before it"
    return message.replace("found eof", "found the end").replace(
        "a primitive expression", "a variable or value"
    )
