"""The differences between two versions, part by part, as unified diffs."""

import difflib
import time
from collections.abc import Iterable, Iterator, Mapping

from apps.templates.models import TemplateContent
from notifier.channels.declaration import Kind

LINES_LIMIT = 1_500
"""Lines of one part: diffing takes quadratic time, and more where the two texts share little."""
CPU_LIMIT = 1.0
"""CPU seconds for all parts; after that, a part's diff is all its old lines followed by all its new ones."""

Parts = Mapping[tuple[str, str, str], str]


def changes(old: Iterable[TemplateContent], new: Iterable[TemplateContent]) -> Iterator[dict[str, str]]:
    """{channel, language, part, change, diff} of every part that differs; change: added, removed, changed."""
    before, after = _parts(old), _parts(new)
    ends = time.thread_time() + CPU_LIMIT
    for key in sorted({*before, *after}):
        first, second = before.get(key, ""), after.get(key, "")
        if first == second:
            continue
        channel, language, part = key
        yield {
            "channel": channel,
            "language": language,
            "part": part,
            "change": "added" if not first else "removed" if not second else "changed",
            "diff": _diff(first, second, thorough=time.thread_time() < ends),
        }


def _parts(contents: Iterable[TemplateContent]) -> Parts:
    return {
        (row.channel, row.language.lower(), part): source
        for row in contents
        for part, source in {**row.sources(), "layout": row.option(Kind.LAYOUT)}.items()
    }


def _diff(first: str, second: str, *, thorough: bool) -> str:
    old, new = first.splitlines(), second.splitlines()
    if thorough and max(len(old), len(new)) <= LINES_LIMIT:
        # Only line endings differ: show them escaped.
        if old == new:
            old, new = first.splitlines(keepends=True), second.splitlines(keepends=True)
            old, new = [repr(line)[1:-1] for line in old], [repr(line)[1:-1] for line in new]
        return "\n".join(difflib.unified_diff(old, new, "before", "after", lineterm=""))
    head = f"@@ -{_span(old)} +{_span(new)} @@"
    return "\n".join(
        ["--- before", "+++ after", head, *(f"-{line}" for line in old), *(f"+{line}" for line in new)]
    )


def _span(lines: list[str]) -> str:
    return f"1,{len(lines)}" if lines else "0,0"
