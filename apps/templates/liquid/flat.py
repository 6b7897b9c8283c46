"""The common template, words with variables in them and nothing else, filled in without the engine.

It says what the engine would, or nothing: whatever is in the least unusual (a variable that is missing or no text or
whole number, an output past the limit, odd characters) is left to the engine, and to its errors.
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
"""What the engine finds in any object, whatever its keys."""


class Flat:
    """Pieces of text, and between them the paths of variables."""

    def __init__(self, pieces: list[str], paths: list[tuple[str, ...]], *, html: bool) -> None:
        self._pieces, self._paths, self._html = pieces, paths, html

    @classmethod
    def of(cls, template: BoundTemplate, *, html: bool) -> Self | None:
        """None for a template with anything but text and plain variables in it."""
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
        """What the engine would say; None where that has to be asked."""
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
        # The engine counts octets.
        if not filled.isascii() and not _sound(filled) or len(filled) > OUTPUT_LIMIT // 4:
            return None
        return filled


def _sound(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
