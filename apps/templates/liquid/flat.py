"""A fast path for common templates, which contain only text and plain variables: filled in without the engine.

The result equals the engine's, or there is none: anything unusual (a variable that is missing or neither a string nor
an integer, output past the limit, invalid characters) is left to the engine and its errors.
"""

from collections.abc import Mapping
from typing import Any, Self

from liquid import BoundTemplate
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Path
from markupsafe import escape

from apps.templates.liquid.limits import OUTPUT_LIMIT
from apps.templates.liquid.tags.printing import PrintedNode

SPECIAL = frozenset({"size", "first", "last"})
"""Names that the engine resolves on any object, whatever its keys."""


class Flat:
    """Pieces of text, and the paths of the variables between them."""

    def __init__(self, pieces: list[str], paths: list[tuple[str, ...]], *, html: bool) -> None:
        self._pieces, self._paths, self._html = pieces, paths, html

    @classmethod
    def of(cls, template: BoundTemplate, *, html: bool) -> Self | None:
        """None for a template that contains anything but text and plain variables."""
        pieces, paths = [""], []
        for node in template.nodes:
            if type(node) is ContentNode:
                pieces[-1] += node.text
                continue
            expression = node.expression if type(node) is PrintedNode else None
            if not isinstance(expression, FilteredExpression) or expression.filters:
                return None
            whole = expression.left.path if isinstance(expression.left, Path) else []
            path = tuple(name for name in whole if isinstance(name, str) and name not in SPECIAL)
            if not path or len(path) < len(whole):
                return None
            paths.append(path)
            pieces.append("")
        return cls(pieces, paths, html=html)

    def fill(self, variables: Mapping[str, Any]) -> str | None:
        """The output that the engine would produce; None where the engine is needed."""
        parts = [self._pieces[0]]
        for path, piece in zip(self._paths, self._pieces[1:], strict=True):
            value: Any = variables
            for name in path:
                if type(value) is not dict or name not in value:
                    return None
                value = value[name]
            if type(value) is int:
                value = str(value)
            elif type(value) is not str:
                return None
            parts.append(escape(value) if self._html else value)
            parts.append(piece)
        filled = "".join(parts)
        # The engine's limit counts bytes: at most four per character.
        if not filled.isascii() and not _sound(filled) or len(filled) > OUTPUT_LIMIT // 4:
            return None
        return filled


def _sound(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
