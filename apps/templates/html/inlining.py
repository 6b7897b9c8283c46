"""Style sheets written into the elements they style, for mail readers that drop or change `<style>`.

The source stays as it was, byte for byte, but for the `style` attributes that are added or begun anew: the
library sees a copy without words or Liquid, and says only which element gets which style. The style sheets stay
too, for media queries, `:hover` and whatever can't be inlined.
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
"""Media that a mail is read on, whatever else is true of them."""


def sheets(source: str) -> str:
    """The CSS of the style elements that are for every screen, but for those with Liquid in them."""
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
    """`source` with `css` (default: its own sheets) in its elements' style attributes, before what these say
    already, so that this still wins, and after it what is important, without that word: it would win over the media
    queries of the sheet, too. An element stays as it is where Liquid decides what it is: by its class or id, or
    between its attributes."""
    markup = masked(source, spans(source))
    css = _sheets(markup) if css is None else css
    return _styled(source, computed(markup, joined(_one_kind(css)))) if css.strip() else source


def computed(markup: str, css: str) -> list[tuple[Tag, str]]:
    """The elements that `css` says something of, in their order, each with its style; what they say themselves is
    left out. `markup`: masked."""
    copy: list[str] = ["<!DOCTYPE html>"]
    elements: list[Tag] = []
    position = 0
    for tag in tags(markup):
        # Words matter to `:empty` alone.
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
    # Loading is off, and the copy has no address to load from either.
    inliner = CSSInliner(inline_style_tags=False, load_remote_stylesheets=False, extra_css=css)
    styles: dict[int, str] = {}
    for tag in tags(inliner.inline("".join(copy))):
        marked, style = tag.attribute(MARK), tag.attribute("style")
        if marked and style:
            # A parser may make several elements of one that is left open.
            styles.setdefault(int(marked.value), style.value)
    return [(elements[index], style) for index, style in sorted(styles.items())]


def _one_kind(css: str) -> str:
    """`css` without comments, and with no quote inside a string: the library puts single ones around each."""

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
            # Bare, or without a value: it gets quotes.
            end = own.start + len(own.text) if own.text else own.begins + len(own.name)
            bare = f"{' ' if first else ''}{source[own.start : end]}" if own.text else ""
            between = "; " if bare and last else ""
            parts += [source[position : own.begins], f'style="{first}{bare}{between}{last}"']
            position = end
    return "".join([*parts, source[position:]])
