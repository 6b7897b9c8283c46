"""The HTML that an assembled source stands for: MJML compiled, style sheets inlined. Done once, when a version is
made, by a process that is bounded in time and memory."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import structlog

from .assembling import Assembled
from .engine import COMPILED_LIMIT
from .faults import TemplateSyntaxFault

logger = structlog.get_logger(__name__)
ROOT = Path(__file__).parents[2]
WALL_LIMIT = 15.0
"""Seconds, on a machine that is busy; the process has a limit of its own on its CPU time."""
AT_ONCE = threading.BoundedSemaphore(2)
"""Of one API process: many authors, or one who means harm, must not take all of the machine."""


def compiled(source: Assembled) -> str:
    """What to render and send instead of `source`. Raises TemplateSyntaxFault."""
    if not source.mjml and "<style" not in source.text.lower():
        return source.text
    answer = _run(source)
    if "html" not in answer:
        raise source.fault(answer["message"], answer["index"])
    html: str = answer["html"]
    if len(html.encode("utf-8", "surrogatepass")) > COMPILED_LIMIT:
        raise TemplateSyntaxFault(
            f"with its layout and styles in every element it would be longer than {COMPILED_LIMIT // 1024} KiB",
            1,
            1,
        )
    return html


def _run(source: Assembled) -> dict[str, Any]:
    given = json.dumps({"text": source.text, "mjml": source.mjml, "hole": source.hole}).encode()
    refused = TemplateSyntaxFault(
        "compiling this takes too much time or memory: it needs fewer elements or style rules", 1, 1
    )
    with AT_ONCE:
        try:
            done = subprocess.run(  # noqa: S603 - this program, by its full path
                [sys.executable, "-m", "apps.templates.compiler"],
                input=given,
                capture_output=True,
                cwd=ROOT,
                # None of ours: it holds secrets, and the compiler needs no setting.
                env={"PYTHONDONTWRITEBYTECODE": "1"},
                timeout=WALL_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise refused from None
    if done.returncode != 0:
        logger.warning(
            "compiler_ended", code=done.returncode, end=done.stderr[-300:].decode(errors="replace")
        )
        raise refused
    return dict(json.loads(done.stdout))
