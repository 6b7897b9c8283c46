"""Renders a template's parts with a recipient's variables into the text of one email or push. Pure: no I/O.

    TemplateError
    ├── TemplateSyntaxError(message, line, column)   check, assemble, compiled, variables_of
    └── RenderError(message, field)                  render_email, render_push

Variables are plain JSON values. Authors are not trusted: see `liquid.limits` for what a template may cost.
"""

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
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
from apps.templates.rendering import push_keys

__all__ = [
    "PROVIDED",
    "EmailContent",
    "PushContent",
    "RenderError",
    "TemplateError",
    "TemplateSyntaxError",
    "VariableUse",
    "assemble",
    "check",
    "compiled",
    "missing",
    "render",
    "render_email",
    "render_for",
    "render_push",
    "uses_provided",
    "variables_of",
]

TOO_COSTLY = "too_costly"
LINE_BREAKERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):\S+", re.IGNORECASE)
REFUSED_SCHEMES = frozenset({"javascript", "data", "vbscript", "file"})


@dataclass(frozen=True, slots=True)
class EmailContent:
    """Liquid sources, or after `render_email` the rendered text. `html` and `text` may be empty; neither is derived
    from the other here."""

    subject: str
    html: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class PushContent:
    """Liquid sources, or after `render_push` the rendered text. `data`: its values are sources, its keys are not."""

    title: str
    body: str
    image: str = ""
    link: str = ""
    data: Mapping[str, str] = field(default_factory=dict)


def render_email(source: EmailContent, variables: Mapping[str, object]) -> EmailContent:
    """The subject in one line; variables escaped in `html`; an empty source gives an empty part."""
    plain(variables)
    with allowance(cpu=CPU_LIMIT):
        return EmailContent(
            subject=_line(source.subject, variables, "subject"),
            html=_render(source.html, variables, "html", html=True),
            text=_render(source.text, variables, "text"),
        )


def render_push(source: PushContent, variables: Mapping[str, object]) -> PushContent:
    """Title, link and image in one line. Image: empty or http(s). Link: empty, http(s) or an app's scheme."""
    plain(variables)
    for key in source.data:
        # A version saved before this check existed may have such a key.
        if error := push_keys.error_of(key):
            raise RenderError(error, f"data.{key}")
    with allowance(cpu=CPU_LIMIT):
        return PushContent(
            title=_line(source.title, variables, "title"),
            body=_render(source.body, variables, "body"),
            image=_image(_line(source.image, variables, "image")),
            link=_link(_line(source.link, variables, "link"), "link"),
            data={key: _render(value, variables, f"data.{key}") for key, value in source.data.items()},
        )


def render(source: EmailContent | PushContent, variables: Mapping[str, object]) -> EmailContent | PushContent:
    """`render_email` or `render_push`, by the type of `source`. Raises RenderError."""
    if isinstance(source, EmailContent):
        return render_email(source, variables)
    return render_push(source, variables)


def render_for(
    organization_id: Hashable, source: EmailContent | PushContent, variables: Mapping[str, object]
) -> EmailContent | PushContent:
    """As `render`, within the organization's share of CPU time: the calling thread serves others too."""
    with shares.rendering(organization_id):
        return render(source, variables)


def uses_provided(source: EmailContent | PushContent) -> bool:
    """Whether it may name one of PROVIDED, which is nil until the message is sent."""
    if isinstance(source, EmailContent):
        parts = [source.subject, source.html, source.text]
    else:
        parts = [source.title, source.body, source.image, source.link, *source.data.values()]
    return any(name in part for part in parts for name in PROVIDED)


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


def _link(url: str, field: str) -> str:
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


def _image(url: str) -> str:
    if url and not url.lower().startswith(("http://", "https://")):
        raise RenderError("an image needs an http or https address", "image")
    return _link(url, "image")
