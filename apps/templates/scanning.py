"""Where a source's Liquid stands, found in linear time and before any library's patterns see it."""

import re
from collections.abc import Iterator

from .faults import fault

TAGS_LIMIT = 2_000
"""Tags and outputs in a source: bounds what a parsed template takes in memory."""
TAG_LENGTH = 1_000
"""Characters between the braces: the library's patterns take quadratic time there, and in runs of blanks."""
BLANKS = re.compile(r"\s{100}")
OPENER = re.compile(r"\{([{%])")
VERBATIM = {name: re.compile(rf"\{{%-?\s*end{name}\s*-?%\}}") for name in ("raw", "doc")}


def spans(source: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each tag, output and verbatim block. Raises TemplateSyntaxFault at what would keep the
    library's patterns busy: anything long that is opened and not closed."""
    position = tags = 0
    while opener := OPENER.search(source, position):
        start, closer = opener.start(), "}}" if opener[1] == "{" else "%}"
        end = source.find(closer, opener.end(), opener.end() + TAG_LENGTH)
        if end < 0:
            raise fault(
                f"{opener[0]} is not closed by {closer} within {TAG_LENGTH} characters", source, start
            )
        inside = source[opener.end() : end].strip().strip("-").strip()
        if not inside:
            raise fault(f"there is nothing between {opener[0]} and {closer}", source, start)
        if BLANKS.search(source, opener.end(), end):
            raise fault("there are too many blanks inside the braces", source, start)
        tags += 1
        if tags > TAGS_LIMIT:
            raise fault(f"a template holds at most {TAGS_LIMIT} tags", source, start)
        position = end + 2
        if opener[1] == "%" and inside in VERBATIM:
            ending = VERBATIM[inside].search(source, position)
            if not ending:
                raise fault(f"{{% {inside} %}} is not closed by {{% end{inside} %}}", source, start)
            position = ending.end()
        yield start, position
