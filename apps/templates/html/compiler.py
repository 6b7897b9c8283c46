"""A separate program: reads {text, mjml, hole, most} as JSON from stdin; writes {html}, {too_long} where the HTML
has more than `most` bytes, or {message, index}.

The input of the native libraries is bounded in size but not in cost: a style sheet can turn a few kilobytes into a
hundred megabytes, and a crash in them would end the process. So they run in this one, with CPU and memory limits,
and not in the API's.
"""

import contextlib
import json
import resource
import sys

CPU_LIMIT = 3
"""Seconds."""
MEMORY_LIMIT = 512 * 1024 * 1024


def main() -> None:
    for what, limit in ((resource.RLIMIT_CPU, CPU_LIMIT), (resource.RLIMIT_AS, MEMORY_LIMIT)):
        # Some systems can't limit the address space; the caller's timeout still applies.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (limit, limit))
    request = json.load(sys.stdin.buffer)
    # Imported after the limits are set, so that loading them is limited too.
    from apps.templates.html.inlining import inlined, sheets
    from apps.templates.html.mjml import MarkupError, compiled, inline_sheets
    from apps.templates.liquid.errors import TemplateSyntaxError
    from apps.templates.liquid.scanning import spans

    text, css = request["text"], None
    try:
        if request["mjml"]:
            opaque = list(spans(text))
            if hole := request["hole"]:
                start, end = hole
                opaque = sorted([(start, end), *(one for one in opaque if not start <= one[0] < end)])
            css = inline_sheets(text, opaque)
            if hole:
                css += sheets(text[start:end])
            text = compiled(text, opaque)
        html = inlined(text, css)
        # The caller would hold several copies of a result that it may not use.
        answer: dict[str, str | int] = {"html": html}
        if len(html) > request["most"] or len(html.encode("utf-8", "surrogatepass")) > request["most"]:
            answer = {"too_long": True}
    except MarkupError as error:
        answer = {"message": error.message, "index": error.index}
    except TemplateSyntaxError as error:
        # The position would be in the generated HTML: MJML duplicates parts of its input.
        answer = {"message": error.message, "index": 0}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
