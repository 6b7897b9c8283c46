"""Renders the parts of a channel's content with a recipient's variables. Pure: no I/O.

    TemplateError
    ├── TemplateSyntaxError(message, line, column)   check, assemble, compiled, variables_of
    └── RenderError(message, field)                  render, render_for

Variables are plain JSON values. Authors are not trusted: see `liquid.limits` for what a template may cost.
"""

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from liquid.exceptions import LiquidError

from apps.templates.html.compiling import compiled
from apps.templates.liquid.analysis.variables import PROVIDED, VariableUse, missing, variables_of
from apps.templates.liquid.assembling import assemble, check
from apps.templates.liquid.budget import allowance, shares
from apps.templates.liquid.budget import check as check_allowance
from apps.templates.liquid.context import missing_name
from apps.templates.liquid.engine import parse
from apps.templates.liquid.errors import RenderError, TemplateError, TemplateSyntaxError
from apps.templates.liquid.limits import CPU_LIMIT, TooSlow, plain
from notifier.channels.declaration import Channel, Kind

__all__ = [
    "PROVIDED",
    "RenderError",
    "Source",
    "TemplateError",
    "TemplateSyntaxError",
    "VariableUse",
    "assemble",
    "check",
    "compiled",
    "missing",
    "render",
    "render_for",
    "shown",
    "uses_provided",
    "variables_of",
]

TOO_COSTLY = "too_costly"
LINE_BREAKERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):\S+", re.IGNORECASE)
REFUSED_SCHEMES = frozenset({"javascript", "data", "vbscript", "file"})


class Source(NamedTuple):
    """A content's Liquid sources by the name of their part, all of the channel's; those of DATA by key."""

    channel: Channel
    parts: Mapping[str, str | Mapping[str, str]]

    def texts(self) -> Iterator[str]:
        for part in self.parts.values():
            if isinstance(part, str):
                yield part
            else:
                yield from part.values()


def render(source: Source, variables: Mapping[str, object]) -> dict[str, Any]:
    """The rendered text of each part, by its name; of DATA an object of texts. An empty source gives an empty text.

    Raises RenderError.
    """
    plain(variables)
    with allowance(cpu=CPU_LIMIT):
        rendered = {}
        for part in source.channel.sources:
            written: Any = source.parts[part.name]
            if part.key_error is not None:
                for key in written:
                    # A version saved before the check existed may have such a key.
                    if error := part.key_error(key):
                        raise RenderError(error, f"{part.name}.{key}")
            rendered[part.name] = _RENDERINGS[part.kind](written, variables, part.name)
    if source.channel.too_much is not None and (found := source.channel.too_much(rendered)):
        field, error = found
        raise RenderError(error, field)
    return rendered


def shown(channel: Channel, rendered: Mapping[str, Any]) -> dict[str, Any]:
    """A rendered content as it is shown before it is sent: with the figures that the channel declares."""
    return {**rendered, **{figure.name: figure.of(rendered) for figure in channel.figures}}


def render_for(organization_id: Hashable, source: Source, variables: Mapping[str, object]) -> dict[str, Any]:
    """As `render`, within the organization's share of CPU time: the calling thread serves others too."""
    with shares.rendering(organization_id):
        return render(source, variables)


def uses_provided(source: Source) -> bool:
    """Whether it may name one of PROVIDED, which is nil until the message is sent."""
    return any(name in text for text in source.texts() for name in PROVIDED)


def _render(source: str, variables: Mapping[str, object], field: str, *, html: bool = False) -> str:
    if not source:
        return ""
    try:
        template = parse(source, html)
        named = {**PROVIDED, **variables}
        if template.flat is not None and (filled := template.flat.fill(named)) is not None:
            return filled
        check_allowance()
        return template.render(named)
    except TemplateSyntaxError as error:
        raise RenderError(str(error), field) from None
    except TooSlow as error:
        raise RenderError(str(error.message), field, TOO_COSTLY) from None
    except LiquidError as error:
        line = ""
        if error.token and error.token.start_index >= 0:
            line = f"line {source.count(chr(10), 0, error.token.start_index) + 1}: "
        raise RenderError(f"{line}{error.message}", field, missing=missing_name(error)) from error
    except UnicodeError as error:
        raise RenderError("a variable contains characters that are not valid text", field) from error
    except Exception as error:
        # Unusual values make the library and its date parser raise almost any exception. Only its type is reported:
        # the message may quote a variable.
        kind = type(error).__name__
        raise RenderError(f"the template can't be rendered with these variables ({kind})", field) from error


def _line(source: str, variables: Mapping[str, object], field: str) -> str:
    """One line: a line break in a variable must not start a new header."""
    return LINE_BREAKERS.sub(" ", _render(source, variables, field)).strip()


def _html(source: str, variables: Mapping[str, object], field: str) -> str:
    return _render(source, variables, field, html=True)


def _link(source: str, variables: Mapping[str, object], field: str) -> str:
    """Empty, http(s) or an app's scheme."""
    url = _line(source, variables, field)
    scheme = SCHEME.fullmatch(url)
    if url and (not scheme or scheme[1].lower() in REFUSED_SCHEMES):
        raise RenderError("this is not an address that may be opened", field)
    if scheme and scheme[1].lower() in ("http", "https"):
        try:
            host = urlsplit(url).hostname
        except ValueError:
            host = None
        if not host:
            raise RenderError("this web address has no host", field)
    return url


def _image(source: str, variables: Mapping[str, object], field: str) -> str:
    """Empty or http(s)."""
    url = _link(source, variables, field)
    if url and not url.lower().startswith(("http://", "https://")):
        raise RenderError("an image needs an http or https address", field)
    return url


def _data(sources: Mapping[str, str], variables: Mapping[str, object], field: str) -> dict[str, str]:
    return {key: _render(source, variables, f"{field}.{key}") for key, source in sources.items()}


_RENDERINGS: Mapping[Kind, Callable[..., Any]] = {
    Kind.LINE: _line,
    Kind.TEXT: _render,
    Kind.HTML: _html,
    Kind.IMAGE: _image,
    Kind.LINK: _link,
    Kind.DATA: _data,
}
