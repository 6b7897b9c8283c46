"""Filters of our own in place of the library's whose cost is not in proportion to what they are given."""

from liquid import Environment, Markup
from liquid.filter import string_filter, with_environment

WHOLE = (("<script", "</script>"), ("<style", "</style>"), ("<!--", "-->"))
"""What goes with everything that is in it."""


@with_environment
@string_filter
def strip_html(val: str, *, environment: Environment) -> str:
    """The text without tags, comments, scripts and styles; a `<` that nothing closes stays. In linear time."""
    kept, position = [], 0
    folded = val.lower() if val.isascii() else _ascii_lower(val)
    # What was looked for in vain once is not there later either.
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
    """Lower case without a change of length, which some letters' would be."""
    return text.translate({upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)})
