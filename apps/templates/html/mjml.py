"""Compiles MJML to HTML and leaves Liquid unchanged. Errors that the library reports without a usable position, such
as an unclosed tag or an unknown element, are found here first."""

import re
import secrets
from bisect import bisect_right
from collections.abc import Iterable

from mjml import mjml2html

from apps.templates.html import html_attributes
from apps.templates.liquid.markup import FILLER, VOID, Tag, masked, tags
from apps.templates.liquid.scanning import is_comment

DEPTH_LIMIT = 100
NAMES = """
mjml mj-head mj-body mj-attributes mj-all mj-class mj-breakpoint mj-font mj-preview mj-style mj-title mj-raw
mj-accordion mj-accordion-element mj-accordion-title mj-accordion-text mj-button mj-carousel mj-carousel-image
mj-column mj-divider mj-group mj-hero mj-image mj-navbar mj-navbar-link mj-section mj-social mj-social-element
mj-spacer mj-table mj-text mj-wrapper mj-html-attributes mj-selector mj-html-attribute
"""
KNOWN = frozenset(NAMES.split())
HOLDERS = """
mjml mj-head mj-body mj-attributes mj-accordion mj-accordion-element mj-carousel mj-column mj-group mj-hero
mj-navbar mj-section mj-social mj-wrapper
"""
STRUCTURE = frozenset(HOLDERS.split())
"""Elements that contain elements, not text."""
ODD = re.compile(r"""[^ !#-\[\]-~]""")
"""Characters that the library rewrites in attributes: quotes, backslashes, and everything outside ASCII."""
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
EMPTY_ALT = '<mj-attributes><mj-all alt="" /></mj-attributes>'
"""With an empty default `alt`, screen readers skip an image instead of reading its address."""
PLACE = re.compile(r" in \S+ template.*?(?: at position ([0-9]+).*)?\Z")


class MarkupError(Exception):
    """Invalid MJML. `index`: the position in the source."""

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message)
        self.message = message
        self.index = index


def compiled(source: str, opaque: Iterable[tuple[int, int]]) -> str:
    """The HTML of an MJML document. The text at `opaque`, sorted (start, end), is copied unchanged.

    Nothing is loaded, and no web font is added that the source doesn't name: its host would see each reader.
    Raises MarkupError.
    """
    opaque = list(opaque)
    markup = masked(source, opaque)
    _check(markup)
    begins, ends = _root(markup)
    cut = list(html_attributes.blocks(markup))
    try:
        wanted = [
            (one, html_attributes.quoted(source, opaque, *one.value))
            for one in html_attributes.attributes(markup)
        ]
    except html_attributes.SelectorError as error:
        raise MarkupError(error.message, error.index) from None
    kept = [one for one in opaque if not any(start <= one[0] < end for start, end in cut)]
    inside = [one for one in kept if begins <= one[0] < ends]
    library_input = _LibraryInput(source, sorted([*inside, *cut]), {start for start, _ in cut})
    library_input.take(masked(markup, cut), begins, ends)
    text = "".join(library_input.parts)
    try:
        made = mjml2html(text, fonts={})
    except ValueError as error:
        found = PLACE.search(str(error))
        message = f"MJML can't be read here: {str(error)[: found.start() if found else None]}"
        at = len(text.encode()[: int(found[1])].decode(errors="ignore")) if found and found[1] else 0
        raise MarkupError(message, library_input.place(at)) from None
    for number, index in library_input.needed.items():
        if library_input.token(number) not in made:
            raise MarkupError(
                "MJML drops what stands here, since it has to be known when the template is compiled", index
            )
    before = "".join(source[slice(*one)] for one in kept if one[0] < begins)
    after = "".join(source[slice(*one)] for one in kept if one[0] >= ends)
    return f"{before}{html_attributes.with_attributes(library_input.restored(made), wanted)}{after}"


def _root(markup: str) -> tuple[int, int]:
    """(start, end) of the `<mjml>` element; only Liquid and comments may surround it. Raises MarkupError."""
    found = [tag for tag in tags(markup) if tag.name == "mjml"]
    start, end = found[0].start, next(tag.end for tag in found if tag.kind != "open")
    for at, text in ((0, markup[:start]), (end, markup[end:])):
        bare = COMMENT.sub(lambda comment: " " * len(comment[0]), text).replace(FILLER, " ")
        if stray := bare.strip():
            where = "before <mjml>" if not at else "after </mjml>"
            raise MarkupError(f"nothing but Liquid may stand {where}", at + bare.index(stray))
    return start, end


def inline_sheets(source: str, opaque: Iterable[tuple[int, int]]) -> str:
    """The CSS of every `<mj-style inline="inline">` without Liquid."""
    markup = masked(source, opaque)
    return "\n".join(
        markup[slice(*tag.inside)]
        for tag in tags(markup)
        if tag.name == "mj-style"
        and tag.inside
        and FILLER not in markup[slice(*tag.inside)]
        and (mode := tag.attribute("inline"))
        and mode.value == "inline"
    )


def _check(markup: str) -> None:
    """Raises MarkupError where elements are unknown, not closed or wrongly nested."""
    open_: list[Tag] = []
    position = 0
    body = False
    for tag in tags(markup):
        if (stray := markup.find("<", position, tag.start)) >= 0:
            raise MarkupError("this < begins no tag; write the character as &lt;", stray)
        position = tag.inside[1] if tag.inside else tag.end
        if tag.kind == "comment":
            continue
        if tag.name == "mj-include":
            raise MarkupError('mj-include loads nothing here; write {% render "name" %}', tag.start)
        if tag.name.lower().startswith("mj") and tag.name not in KNOWN:
            raise MarkupError(f"MJML has no element <{tag.name[:50]}>", tag.start)
        if tag.kind == "close":
            if all(one.name != tag.name for one in open_):
                raise MarkupError(f"</{tag.name[:50]}> closes nothing", tag.start)
            left = open_.pop()
            if left.name != tag.name:
                raise MarkupError(f"<{left.name[:50]}> is not closed before </{tag.name[:50]}>", left.start)
            continue
        if not open_ and tag.name != "mjml":
            raise MarkupError("an MJML document begins with <mjml>", tag.start)
        body = body or tag.name == "mj-body"
        if tag.kind == "open" and tag.name not in VOID:
            open_.append(tag)
        if len(open_) > DEPTH_LIMIT:
            raise MarkupError(f"elements are nested deeper than {DEPTH_LIMIT}", tag.start)
    if (stray := markup.find("<", position)) >= 0:
        raise MarkupError("this < begins no tag; write the character as &lt;", stray)
    if open_:
        raise MarkupError(f"<{open_[-1].name[:50]}> is not closed", open_[-1].start)
    if not body:
        raise MarkupError("an MJML document has a <mj-body> in its <mjml>", 0)


class _LibraryInput:
    """The library's input: the source with a token in place of everything that must come out unchanged.

    `needed`: by the token number of each Liquid tag, the tag's position in the source.
    """

    def __init__(self, source: str, opaque: list[tuple[int, int]], dropped: set[int]) -> None:
        self.source = source
        self.parts: list[str] = []
        self.needed: dict[int, int] = {}
        self._opaque, self._dropped = opaque, dropped
        self._originals: list[str] = []
        self._places: list[tuple[int, int]] = []
        self._length = self._next = 0
        self._key = secrets.token_hex(6)

    def token(self, number: int) -> str:
        return f"n{self._key}x{number}x"

    def restored(self, made: str) -> str:
        token = rf"n{self._key}x([0-9]+)x"
        return re.sub(
            rf"<!--{self._key}{token}-->|{token}",
            lambda found: self._originals[int(found[1] or found[2])],
            made,
        )

    def place(self, index: int) -> int:
        """The position in the source that corresponds to `index` of the input."""
        at = max(bisect_right(self._places, (index, len(self.source))) - 1, 0)
        begins, origin = self._places[at] if self._places else (0, 0)
        return origin + index - begins

    def take(self, markup: str, begins: int, ends: int) -> None:
        holders: list[str] = []
        position = begins
        headless = all(tag.name != "mj-head" or tag.kind == "empty" for tag in tags(markup))
        for tag in tags(markup):
            if not begins <= tag.start < ends:
                continue
            structure = bool(holders) and holders[-1] in STRUCTURE
            self._copy(position, tag.start, structure=structure)
            if tag.kind == "empty" and tag.name == "mj-head":
                # The library uses the last head in the document.
                position = tag.end
                continue
            if tag.kind == "comment":
                self._copy(tag.start, tag.end)
            else:
                self._tag(tag)
            position = tag.end
            if tag.kind == "open" and tag.name == ("mjml" if headless else "mj-head"):
                self._append(f"<mj-head>{EMPTY_ALT}</mj-head>" if headless else EMPTY_ALT, tag.end)
            if tag.inside:
                self._copy(*tag.inside, odd=tag.name == "mj-title")
                position = tag.inside[1]
            if tag.kind == "close":
                holders.pop()
            elif tag.kind == "open" and tag.name not in VOID:
                holders.append(tag.name)
        self._copy(position, ends)

    def _tag(self, tag: Tag) -> None:
        position = tag.start
        for one in tag.attributes:
            end = one.start + len(one.text)
            if one.text[:1] in ("'", '"'):
                self._copy(position, one.start)
                self._keep(one.start, one.start + 1)
                self._copy(one.start + 1, end - 1, odd=True)
                position = end - 1
        self._copy(position, tag.end)

    def _copy(self, start: int, end: int, *, structure: bool = False, odd: bool = False) -> None:
        position = start
        while self._next < len(self._opaque) and self._opaque[self._next][0] < end:
            begins, ends = self._opaque[self._next]
            self._next += 1
            self._plain(position, begins, structure, odd)
            position = ends
            if begins in self._dropped:
                continue
            if not is_comment(self.source[begins:ends]):
                self.needed[len(self._originals)] = begins
            self._replace(begins, self.source[begins:ends], hidden=structure)
        self._plain(position, end, structure, odd)

    def _plain(self, start: int, end: int, structure: bool, odd: bool) -> None:
        text = self.source[start:end]
        # The library accepts whitespace in some of its elements and rejects it in others.
        if not text or (structure and text.isspace()):
            return
        position = start
        for found in ODD.finditer(text) if odd else ():
            self._keep(position, start + found.start())
            self._replace(start + found.start(), "&quot;" if found[0] == '"' else found[0])
            position = start + found.end()
        self._keep(position, end)

    def _keep(self, start: int, end: int) -> None:
        self._append(self.source[start:end], start)

    def _replace(self, at: int, original: str, *, hidden: bool = False) -> None:
        token = self.token(len(self._originals))
        self._originals.append(original)
        self._append(f"<!--{self._key}{token}-->" if hidden else token, at)

    def _append(self, text: str, origin: int) -> None:
        self._places.append((self._length, origin))
        self.parts.append(text)
        self._length += len(text)
