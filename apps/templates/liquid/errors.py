"""Errors of templates.

    TemplateError
    ├── TemplateSyntaxError   the source is invalid; has line and column
    └── RenderError           the source is valid, this rendering failed; has the field

The packages `rendering`, `html` and `liquid` raise no other errors about a template.
"""


class TemplateError(Exception):
    """`message`: one sentence for the template's author or the caller, cut to LIMIT characters."""

    LIMIT = 300

    def __init__(self, message: str) -> None:
        self.message = message[: self.LIMIT]
        super().__init__(self.message)


class TemplateSyntaxError(TemplateError):
    """`line` and `column` count from 1; the source's end where something is not closed.

    `where`: the layout or partial with the error; empty: the content itself.
    """

    def __init__(self, message: str, line: int, column: int, where: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.where = where

    def __str__(self) -> str:
        where = f"{self.where}, " if self.where else ""
        return f"{where}line {self.line}, column {self.column}: {self.message}"


class RenderError(TemplateError):
    """`field`: the part that failed ("subject", "html", "data.order_id", …), or "variables". `code`: render_failed,
    or too_costly where it would have taken too long. `missing`: the variable that was missing, if that is why."""

    def __init__(self, message: str, field: str, code: str = "render_failed", missing: str = "") -> None:
        super().__init__(message)
        self.field = field
        self.code = code
        self.missing = missing

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def syntax_error(message: str, source: str, index: int, where: str = "") -> TemplateSyntaxError:
    """The error for `source[index]`."""
    line_start = source.rfind("\n", 0, index) + 1
    return TemplateSyntaxError(message, source.count("\n", 0, index) + 1, index - line_start + 1, where)
