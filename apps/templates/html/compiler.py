"""A program of its own: reads {text, mjml, hole, most} as JSON, writes {html}, {too_long} where that has more than
`most` bytes, or {message, index}.

What the compiled libraries are given is bounded in size and not in cost: a style sheet can make a hundred
megabytes out of a few kilobytes, and a fault in them would end the process. So it is this one, which may use
little, and not the API's.
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
        # Some systems bound no address space; the caller's clock is there still.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (limit, limit))
    request = json.load(sys.stdin.buffer)
    # Not before the limits: what these load and do is what the limits are for.
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
        # Who waits for it would hold it several times over, and may not use it.
        answer: dict[str, str | int] = {"html": html}
        if len(html) > request["most"] or len(html.encode("utf-8", "surrogatepass")) > request["most"]:
            answer = {"too_long": True}
    except MarkupError as error:
        answer = {"message": error.message, "index": error.index}
    except TemplateSyntaxError as error:
        # Of what was made: MJML repeats some of what it is given.
        answer = {"message": error.message, "index": 0}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
