"""The filters that replace the library's, and the conversion of every filter's arguments: to text for text filters,
to numbers for arithmetic, to a list for list filters, whatever the value is."""

from collections.abc import Callable, Mapping

from liquid import Environment, Markup
from liquid.filter import string_filter, with_environment

from apps.templates.liquid.filters.arithmetic import divided_by, modulo, round_
from apps.templates.liquid.filters.dates import date
from apps.templates.liquid.filters.lists import (
    compact,
    find,
    find_index,
    has,
    join,
    map_,
    reject,
    sort,
    sort_natural,
    sum_,
    uniq,
    where,
)
from apps.templates.liquid.filters.texts import escape, remove_last, replace_last, split, truncate
from apps.templates.liquid.values import number_of, text_of

Given = tuple[object, ...]
TEXTS = """
append capitalize downcase escape escape_once escapejs lstrip newline_to_br prepend remove remove_first remove_last
replace replace_first replace_last rstrip split squish strip strip_html strip_newlines upcase url_decode url_encode
base64_decode base64_encode base64_url_safe_decode base64_url_safe_encode
"""
ARITHMETIC = "abs at_least at_most ceil divided_by floor minus modulo plus round times"
LISTS = "compact concat find find_index has join map reject reverse sort sort_natural sum uniq where"

WHOLE = (("<script", "</script>"), ("<style", "</style>"), ("<!--", "-->"))
"""Elements that are removed together with their content."""


@with_environment
@string_filter
def strip_html(val: str, *, environment: Environment) -> str:
    """The text without tags, comments, scripts and styles; an unclosed `<` stays. Linear time."""
    kept, position = [], 0
    folded = val.lower() if val.isascii() else _ascii_lower(val)
    # A closer not found once is not found further on either.
    absent: set[str] = set()

    def after(closer: str, start: int) -> int:
        if closer in absent:
            return -1
        found = folded.find(closer, start)
        if found < 0:
            absent.add(closer)
            return -1
        return found + len(closer)

    while (opens := val.find("<", position)) >= 0:
        kept.append(val[position:opens])
        ends = -1
        for opener, closer in WHOLE:
            if folded.startswith(opener, opens):
                ends = after(closer, opens + len(opener))
        if ends < 0:
            ends = after(">", opens)
        if ends < 0:
            position = opens
            break
        position = ends
    kept.append(val[position:])
    stripped = "".join(kept)
    return Markup(stripped) if environment.autoescape and isinstance(val, Markup) else stripped


def _ascii_lower(text: str) -> str:
    """ASCII letters in lower case; lowering others could change the text's length."""
    return text.translate({upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)})


def _texts(*given: object) -> Given:
    return tuple([one if type(one) is str else text_of(one) for one in given])


def _numbers(*given: object) -> Given:
    return tuple([one if type(one) in (int, float) else number_of(one) for one in given])


def _list(value: object, *given: object) -> Given:
    return ([] if value is None else value), *given


def _part(value: object, *given: object) -> Given:
    return (value if isinstance(value, list | tuple | range) else text_of(value)), *given


def _cut(value: object, *given: object) -> Given:
    """The text, its length limit, and the texts after that (the ellipsis)."""
    return text_of(value), *given[:1], *map(text_of, given[1:])


CONVERSIONS: Mapping[str, Callable[..., Given]] = {
    **dict.fromkeys(TEXTS.split(), _texts),
    **dict.fromkeys(ARITHMETIC.split(), _numbers),
    **dict.fromkeys(LISTS.split(), _list),
    "slice": _part,
    "truncate": _cut,
    "truncatewords": _cut,
}
"""By filter name: converts the value and arguments to the types that the filter takes."""
OURS: Mapping[str, Callable[..., object]] = {
    "compact": compact,
    "date": date,
    "divided_by": divided_by,
    "escape": escape,
    "find": find,
    "find_index": find_index,
    "has": has,
    "join": join,
    "map": map_,
    "modulo": modulo,
    "reject": reject,
    "remove_last": remove_last,
    "replace_last": replace_last,
    "round": round_,
    "sort": sort,
    "sort_natural": sort_natural,
    "split": split,
    "strip_html": strip_html,
    "sum": sum_,
    "truncate": truncate,
    "uniq": uniq,
    "where": where,
}
