"""The tags that print a value: `{{ … }}`, `echo` and `cycle`."""

from typing import TextIO

from liquid import RenderContext, TokenStream
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.cycle_tag import CycleNode, CycleTag
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.expression import Expression
from markupsafe import escape

from apps.templates.liquid.values import text_of


def _print(expression: Expression, context: RenderContext, buffer: TextIO) -> int:
    value = expression.evaluate(context)
    text = value if type(value) is str else text_of(value)
    return buffer.write(escape(text) if context.autoescape else text)


class PrintedNode(OutputNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return _print(self.expression, context, buffer)


class Printed(Output):
    node_class = PrintedNode


class _EchoedNode(EchoNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return _print(self.expression, context, buffer)


class Echoed(EchoTag):
    node_class = _EchoedNode


class _AsText(Expression):
    """The text of another expression's value."""

    __slots__ = ("expression",)

    def __init__(self, expression: Expression) -> None:
        super().__init__(expression.token)
        self.expression = expression

    def evaluate(self, context: RenderContext) -> str:
        return text_of(self.expression.evaluate(context))

    def children(self) -> list[Expression]:
        return [self.expression]


class Cycled(CycleTag):
    def parse(self, stream: TokenStream) -> CycleNode:
        node = super().parse(stream)
        node.args = [_AsText(one) for one in node.args]
        return node
