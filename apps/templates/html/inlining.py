"""Inlines style sheets into `style` attributes, for mail clients that drop or change `<style>`.

The source stays the same, byte for byte, except for `style` attributes that are added or extended: the library gets
a copy without text or Liquid, and only tells which element gets which style. The style sheets stay too, for media
queries, `:hover` and other rules that can't be inlined.
"""

import re

from css_inline import CSSInliner

from apps.templates.html.css_fallbacks import joined, split_declarations
from apps.templates.liquid.markup import FILLER, Tag, masked, tags
from apps.templates.liquid.scanning import spans

MARK = "data-notifier-element"
QUOTED = re.compile(
    r"""/\*.*?(?:\*/|\Z) | "(?:[^"\\\n]|\\.)*+" | '(?:[^'\\\n]|\\.)*+'""", re.VERBOSE | re.DOTALL
)
"""A comment or a string."""
QUOTE = re.compile(r"""\\.|["']""", re.DOTALL)
CODES = {'"': r"\22 ", "'": r"\27 "}
UNSTYLED = frozenset(
    {"html", "head", "title", "meta", "link", "style", "script", "base", "noscript", "xml", "textarea"}
)
DECIDING = frozenset({"class", "id"})
SCREENS = frozenset({"", "all", "screen"})
"""Media types that always apply to an email on a screen."""


def sheets(source: str) -> str:
    """The CSS of the style elements that apply to every screen, except those that contain Liquid."""
    return _sheets(masked(source, spans(source)))


def _sheets(markup: str) -> str:
    return "\n".join(
        markup[slice(*tag.inside)]
        for tag in tags(markup)
        if tag.name.lower() == "style"
        and tag.inside
        and FILLER not in markup[slice(*tag.inside)]
        and _for_screens(tag)
    )


def _for_screens(tag: Tag) -> bool:
    media = tag.attribute("media")
    kinds = media.value.lower().split(",") if media else []
    return not kinds or any(kind.strip().removeprefix("only ").strip() in SCREENS for kind in kinds)


def inlined(source: str, css: str | None = None) -> str:
    """`source` with `css` (default: its own style sheets) inlined into its elements' style attributes.

    Normal declarations go before an attribute's existing ones, which therefore win; important ones go after them,
    without `!important`, which would also override the sheet's media queries. An element is not changed where Liquid
    decides its class, its id or which attributes it has.
    """
    markup = masked(source, spans(source))
    css = _sheets(markup) if css is None else css
    return _styled(source, computed(markup, joined(_one_kind(css)))) if css.strip() else source


def computed(markup: str, css: str) -> list[tuple[Tag, str]]:
    """(element, style) for each element that `css` matches, in document order, without the element's own style.

    `markup`: masked.
    """
    copy: list[str] = ["<!DOCTYPE html>"]
    elements: list[Tag] = []
    position = 0
    for tag in tags(markup):
        # Text matters only to `:empty`.
        copy.append("x" if markup[position : tag.start].strip() else "")
        position = tag.inside[1] if tag.inside else tag.end
        name = tag.name.lower()
        if tag.kind == "comment":
            continue
        if tag.kind == "close":
            copy.append(f"</{tag.name}>")
        elif name not in UNSTYLED or name in ("html", "head"):
            mark = f' {MARK}="{len(elements)}"' if _certain(tag) else ""
            copy.append(f"<{tag.name}{_kept(tag, markup)}{mark}>")
            elements.append(tag)
    # Remote loading is off, and the copy contains no URL.
    inliner = CSSInliner(inline_style_tags=False, load_remote_stylesheets=False, extra_css=css)
    styles: dict[int, str] = {}
    for tag in tags(inliner.inline("".join(copy))):
        marked, style = tag.attribute(MARK), tag.attribute("style")
        if marked and style:
            # The parser may duplicate an unclosed element.
            styles.setdefault(int(marked.value), style.value)
    return [(elements[index], style) for index, style in sorted(styles.items())]


def _one_kind(css: str) -> str:
    """`css` without comments and without quotes inside strings: the library rewrites each string in single quotes."""

    def plain(found: re.Match[str]) -> str:
        text = found[0]
        if text.startswith("/*"):
            return " "
        return text[0] + QUOTE.sub(lambda quote: CODES.get(quote[0][-1], quote[0]), text[1:-1]) + text[-1]

    return QUOTED.sub(plain, css)


def _certain(tag: Tag) -> bool:
    return tag.name.lower() not in UNSTYLED and not any(
        FILLER in one.name or (one.name.lower() in DECIDING and FILLER in one.text) for one in tag.attributes
    )


def _kept(tag: Tag, markup: str) -> str:
    return "".join(
        f" {markup[one.begins : one.start + len(one.text)] if one.text else one.name}"
        for one in tag.attributes
        if FILLER not in one.name and one.name.lower() not in ("style", MARK)
    )


def _styled(source: str, found: list[tuple[Tag, str]]) -> str:
    parts, position = [], 0
    for tag, style in found:
        plain, important = ("".join(f"{one};" for one in some) for some in split_declarations(style))
        first, last = plain.replace("&", "&amp;"), important.replace("&", "&amp;")
        own = tag.attribute("style")
        if own is None:
            at = tag.start + 1 + len(tag.name)
            parts += [source[position:at], f' style="{first}{last}"']
            position = at
        elif own.text[:1] in ('"', "'"):
            if own.text[0] == "'":
                first, last = first.replace("'", "&#39;"), last.replace("'", "&#39;")
            at, end = own.start + 1, own.start + len(own.text) - 1
            existing = source[at:end]
            if not existing.strip():
                first, last = f"{first}{last}", ""
            parts += [source[position:at], first, " " if first and existing.strip() else "", existing]
            if last:
                parts.append(f" {last}" if existing.rstrip().endswith(";") else f"; {last}")
            position = end
        else:
            # An unquoted or missing value: add quotes.
            end = own.start + len(own.text) if own.text else own.begins + len(own.name)
            bare = f"{' ' if first else ''}{source[own.start : end]}" if own.text else ""
            between = "; " if bare and last else ""
            parts += [source[position : own.begins], f'style="{first}{bare}{between}{last}"']
            position = end
    return "".join([*parts, source[position:]])
