"""Finds the Liquid in a source in linear time, before the library's regular expressions process it."""

import re
from collections.abc import Iterator

from apps.templates.liquid.errors import syntax_error

TAGS_LIMIT = 2_000
"""Tags and outputs in a source: limits the memory of a parsed template."""
TAG_LENGTH = 1_000
"""Characters between the braces: the library's patterns take quadratic time there, and in runs of blanks."""
BLANKS = re.compile(r"\s{100}")
OPENER = re.compile(r"\{([{%])")
VERBATIM = {name: re.compile(rf"\{{%-?\s*end{name}\s*-?%\}}") for name in ("raw", "doc")}
COMMENT = re.compile(r"comment\b")
IN_COMMENT = re.compile(r"\{%-?\s*+(comment|endcomment|raw)\b(?:[^%{]|%(?!\})|\{(?!%))*+%\}", re.ASCII)
UNREAD = re.compile(r"\{%-?\s*(?:comment|raw|doc)\b")
COMMENT_BLOCK = re.compile(r"\{%-?\s*comment\b")
RAW = re.compile(r"\{%-?\s*raw(\s*-?)%\}")
NOT_A_LINES_END = re.compile(r"[^\r\n]")


def spans(source: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each tag, output, verbatim block and comment. Raises TemplateSyntaxError for
    input that is slow for the library: long text that is opened and not closed."""
    return ((start, end) for start, end, _ in _spans(source))


def prepared(source: str) -> str:
    """`source` for the library, of the same length: the content of comments is blanked, since the library would look
    for tags in it, and the dash of {% endraw -%} is moved to its {% raw %}, where the library expects it."""
    parts, position = [], 0
    for start, end, comment in _spans(source):
        if comment:
            parts += [source[position : comment[0]], NOT_A_LINES_END.sub(" ", source[slice(*comment)])]
            position = comment[1]
        elif raw := RAW.match(source, start, end):
            dash = "-" if source[end - 3] == "-" else " "
            if raw[1] and raw[1][-1] != dash:
                parts += [source[position : raw.end(1) - 1], dash]
                position = raw.end(1)
    return "".join([*parts, source[position:]]) if parts else source


def is_read(text: str) -> bool:
    """Whether a span is evaluated, that is, not a verbatim block or a comment."""
    return not UNREAD.match(text)


def is_comment(text: str) -> bool:
    return bool(COMMENT_BLOCK.match(text))


def _spans(source: str) -> Iterator[tuple[int, int, tuple[int, int] | None]]:
    """(start, end, (start, end) of a comment's content or None) of each span."""
    position = tags = 0
    while opener := OPENER.search(source, position):
        start, closer = opener.start(), "}}" if opener[1] == "{" else "%}"
        end = source.find(closer, opener.end(), opener.end() + TAG_LENGTH)
        if end < 0:
            raise syntax_error(
                f"{opener[0]} is not closed by {closer} within {TAG_LENGTH} characters", source, start
            )
        inside = source[opener.end() : end].strip().strip("-").strip()
        if not inside:
            raise syntax_error(f"there is nothing between {opener[0]} and {closer}", source, start)
        if BLANKS.search(source, opener.end(), end):
            raise syntax_error("there are too many blanks inside the braces", source, start)
        tags += 1
        if tags > TAGS_LIMIT:
            raise syntax_error(f"a template has at most {TAGS_LIMIT} tags", source, start)
        position, comment = end + 2, None
        if opener[1] == "%" and inside in VERBATIM:
            ending = VERBATIM[inside].search(source, position)
            if not ending:
                raise syntax_error(f"{{% {inside} %}} is not closed by {{% end{inside} %}}", source, start)
            position = ending.end()
        elif opener[1] == "%" and COMMENT.match(inside):
            last = _comment_ending(source, position)
            if not last:
                raise syntax_error("{% comment %} is not closed by {% endcomment %}", source, start)
            comment, position = (position, last.start()), last.end()
        yield start, position, comment


def _comment_ending(source: str, position: int) -> re.Match[str] | None:
    """The tag that ends a comment, which may contain other comments and verbatim blocks."""
    depth, raws = 1, True
    while found := IN_COMMENT.search(source, position):
        position = found.end()
        if found[1] == "raw":
            # An end not found once is not found further on either.
            ending = VERBATIM["raw"].search(source, position) if raws else None
            raws = ending is not None
            position = ending.end() if ending else position
            continue
        depth += 1 if found[1] == "comment" else -1
        if not depth:
            return found
    return None
