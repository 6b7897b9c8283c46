"""Assembles a source with its layout and partials when a version is created, so that later changes of those don't
affect the version. Pure: no I/O of its own.

`{% render "name" %}` is replaced by a partial's source, `{{ layout.name }}` by one of the layout's values, and in a
layout `{{ content }}` by the content that it surrounds.
"""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from apps.templates.liquid.engine import COMPILED_LIMIT, SOURCE_LIMIT, bound
from apps.templates.liquid.engine import check as check_source
from apps.templates.liquid.errors import TemplateSyntaxError, syntax_error
from apps.templates.liquid.scanning import TAGS_LIMIT, is_read, spans

DEPTH_LIMIT = 10
"""Levels of partials inside partials."""
RENDER = re.compile(r"""\{%-?\s*render\s+(?P<quote>["'])(?P<name>[^"']{1,200})(?P=quote)\s*-?%\}""")
OF_LAYOUT = re.compile(r"\blayout\s*[.\[]")
VALUE = re.compile(r"\{\{-?\s*layout\.([A-Za-z_][A-Za-z0-9_]*)\s*-?\}\}")
CONTENT = re.compile(r"\{\{-?\s*content\s*-?\}\}")
MJML = "mjml"


class Part(Protocol):
    """A stored layout or partial."""

    name: str
    source_format: str
    html: str
    text: str


class Layout(Part, Protocol):
    values: Mapping[str, str]


class Library(Protocol):
    """Provides partials by name. Raises KeyError."""

    def partial(self, name: str) -> Part: ...


@dataclass(frozen=True, slots=True)
class Piece:
    """Text found at `start` of `source`; `where`: the layout or partial it is from (empty: the content itself)."""

    text: str
    source: str
    start: int
    where: str = ""


@dataclass(frozen=True, slots=True)
class Assembled:
    """`pieces`: the origin of each part of `text`; `hole`: the (start, end) of finished HTML inside MJML."""

    text: str
    pieces: Sequence[Piece] = field(repr=False)
    mjml: bool = False
    hole: tuple[int, int] | None = None

    def syntax_error(self, message: str, index: int) -> TemplateSyntaxError:
        """The error for `text[index]`, with the position in the source that this text comes from."""
        for piece in self.pieces:
            if index < len(piece.text) or piece is self.pieces[-1]:
                return syntax_error(
                    message, piece.source, piece.start + min(index, len(piece.text)), piece.where
                )
            index -= len(piece.text)
        return TemplateSyntaxError(message, 1, 1)


@dataclass(frozen=True, slots=True)
class _Kind:
    """The context of one assembly. `part`: the field of layouts and partials to use, html or text."""

    part: str
    mjml: bool
    library: Library
    values: Mapping[str, str] | None


def check(source: str, *, html: bool) -> None:
    """Raise TemplateSyntaxError if `source` is invalid by itself, without its partials."""
    bound(source, SOURCE_LIMIT)
    bare = source
    for start, end in spans(source):
        if RENDER.fullmatch(source, start, end):
            bare = f"{bare[:start]}{' ' * (end - start)}{bare[end:]}"
    check_source(bare, html)


def assemble(
    source: str, *, part: str, source_format: str, library: Library, layout: Layout | None = None
) -> Assembled:
    """`source` with its partials, inside the layout's `part` ("html" or "text") if the layout has one.

    Raises TemplateSyntaxError.
    """
    wrapper: str = getattr(layout, part) if layout else ""
    mjml = part == "html" and source_format == MJML
    outer = part == "html" and layout is not None and layout.source_format == MJML and bool(wrapper)
    values = layout.values if layout else None
    content = list(_expanded(source, "", _Kind(part, mjml, library, values)))
    if not layout or not wrapper:
        return _joined([content], mjml=mjml)
    if mjml and not outer:
        raise TemplateSyntaxError(f'the layout "{layout.name}" is HTML; MJML can\'t be put into it', 1, 1)
    where = f'the layout "{layout.name}"'
    at = placeholder(wrapper, where)
    around = list(_expanded(wrapper, where, _Kind(part, outer, library, values)))
    position = next(
        index for index, piece in enumerate(around) if piece.start == at and piece.source == wrapper
    )
    before, after = around[:position], around[position + 1 :]
    return _joined([before, content, after], mjml=outer, finished=outer and not mjml)


def placeholder(wrapper: str, where: str = "") -> int:
    """The position of a layout's only `{{ content }}`. Raises TemplateSyntaxError."""
    found = [start for start, end in spans(wrapper) if CONTENT.fullmatch(wrapper, start, end)]
    if len(found) == 1:
        return found[0]
    raise syntax_error(
        "a layout must contain {{ content }} once, where the content goes",
        wrapper,
        found[1] if found else len(wrapper),
        where,
    )


def _joined(parts: Sequence[Sequence[Piece]], *, mjml: bool, finished: bool = False) -> Assembled:
    pieces = [piece for part in parts for piece in part]
    text = "".join(piece.text for piece in pieces)
    if len(text.encode("utf-8", "surrogatepass")) > COMPILED_LIMIT:
        raise TemplateSyntaxError(
            f"with its layout and partials this is longer than {COMPILED_LIMIT // 1024} KiB", 1, 1
        )
    hole = None
    if finished:
        start = sum(len(piece.text) for piece in parts[0])
        hole = (start, start + sum(len(piece.text) for piece in parts[1]))
    return Assembled(text, pieces, mjml, hole)


def _expanded(source: str, where: str, kind: _Kind) -> Iterator[Piece]:
    """`source` in pieces, with its partials. Uses an explicit stack: the author decides the nesting depth."""
    none: tuple[str, ...] = ("",)
    waiting = [(source, where, none, _cut(source, where, kind))]
    length = put_in = 0
    while waiting:
        source, where, names, cut = waiting[-1]
        piece, wanted = next(cut, (None, ""))
        if piece is None:
            waiting.pop()
        elif not wanted:
            length += len(piece.text)
            if length > COMPILED_LIMIT:
                raise syntax_error(
                    f"with its partials this is longer than {COMPILED_LIMIT // 1024} KiB", source, 0
                )
            yield piece
        else:
            if wanted in names:
                chain = " → ".join([*names[names.index(wanted) :], wanted])
                raise syntax_error(
                    f'the partial "{wanted}" includes itself: {chain}', source, piece.start, where
                )
            if len(names) > DEPTH_LIMIT:
                raise syntax_error(
                    f"partials are nested deeper than {DEPTH_LIMIT}", source, piece.start, where
                )
            put_in += 1
            if put_in > TAGS_LIMIT:
                raise syntax_error(
                    f"more than {TAGS_LIMIT} partials are included", source, piece.start, where
                )
            inner = _partial(wanted, kind, piece)
            within = f'the partial "{wanted}"'
            waiting.append((inner, within, (*names, wanted), _cut(inner, within, kind)))


def _cut(source: str, where: str, kind: _Kind) -> Iterator[tuple[Piece, str]]:
    """(piece, "") for text that stays, (piece, name) where a partial is to be inserted. A dash in the braces removes
    the adjacent whitespace of this source, and none of the inserted text."""
    position, trimmed = 0, False
    try:
        found = list(spans(source))
    except TemplateSyntaxError as error:
        raise TemplateSyntaxError(error.message, error.line, error.column, where) from None
    for start, end in found:
        text = source[start:end]
        name = ""
        if used := RENDER.fullmatch(text):
            name = used["name"]
        elif kind.values is not None and OF_LAYOUT.search(text) and is_read(text):
            text = _value(text, kind, Piece(text, source, start, where))
        elif not CONTENT.fullmatch(text):
            continue
        yield from _between(source, where, position, start, trimmed, source[start + 2] == "-")
        yield Piece(text, source, start, where), name
        position, trimmed = end, source[end - 3] == "-"
    yield from _between(source, where, position, len(source), trimmed, False)


def _between(
    source: str, where: str, start: int, end: int, from_start: bool, from_end: bool
) -> Iterator[tuple[Piece, str]]:
    text = source[start:end]
    if from_start:
        text = text.lstrip()
        start = end - len(text)
    if from_end:
        text = text.rstrip()
    if text:
        yield Piece(text, source, start, where), ""


def _value(text: str, kind: _Kind, at: Piece) -> str:
    used = VALUE.fullmatch(text)
    if not used:
        raise syntax_error(
            "a layout's value must be used alone, as {{ layout.name }}", at.source, at.start, at.where
        )
    value = (kind.values or {}).get(used[1])
    if value is None:
        raise syntax_error(f"the layout has no value named {used[1]}", at.source, at.start, at.where)
    return html.escape(value) if kind.part == "html" else value


def _partial(name: str, kind: _Kind, at: Piece) -> str:
    def wrong(message: str) -> TemplateSyntaxError:
        return syntax_error(message, at.source, at.start, at.where)

    try:
        found = kind.library.partial(name)
    except KeyError:
        raise wrong(f'there is no partial named "{name}"') from None
    inner: str = getattr(found, kind.part)
    if not inner:
        raise wrong(f'the partial "{name}" has no {kind.part}')
    if kind.part == "html" and found.source_format == MJML and not kind.mjml:
        raise wrong(f'the partial "{name}" is MJML, which can\'t be used in HTML')
    return inner
