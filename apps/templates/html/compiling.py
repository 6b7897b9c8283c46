"""The HTML that an assembled source stands for: MJML compiled, style sheets inlined. Done once, when a version is
made, by a process that is bounded in time and memory."""

import json
import subprocess
import sys
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import structlog

from apps.templates.liquid.assembling import Assembled
from apps.templates.liquid.budget import seconds_left
from apps.templates.liquid.engine import COMPILED_LIMIT
from apps.templates.liquid.errors import TemplateSyntaxError
from notifier.lib.concurrency import ConcurrencyLimit

logger = structlog.get_logger(__name__)
ROOT = Path(__file__).parents[3]
WALL_LIMIT = 15.0
"""Seconds, on a machine that is busy; the process has a limit of its own on its CPU time."""
TOO_LONG = f"with its layout and styles in every element it would be longer than {COMPILED_LIMIT // 1024} KiB"
PATIENCE = 2.0
"""Seconds that a request waits for a place: its thread is one of those that answer everybody."""
compiler_slots = ConcurrencyLimit(total=2, each=1)
"""Of one API process, and of an organization in it: many authors, or one who means harm, must not take all of the
machine."""


def compiled(source: Assembled, organization_id: Hashable) -> str:
    """What to render and send instead of `source`, on behalf of `party`. Raises TemplateSyntaxError, Busy."""
    if not source.mjml and "<style" not in source.text.lower():
        return source.text
    with compiler_slots.slot(organization_id, patience=PATIENCE):
        answer = _run(source)
    if "message" in answer:
        raise source.syntax_error(answer["message"], answer["index"])
    if "too_long" in answer:
        raise TemplateSyntaxError(TOO_LONG, 1, 1)
    return str(answer["html"])


def _run(source: Assembled) -> dict[str, Any]:
    request = {"text": source.text, "mjml": source.mjml, "hole": source.hole, "most": COMPILED_LIMIT}
    payload = json.dumps(request).encode()
    refused = TemplateSyntaxError(
        "compiling this takes too much time or memory: it needs fewer elements or style rules", 1, 1
    )
    patience = min(WALL_LIMIT, seconds_left())
    if patience <= 0:
        raise TemplateSyntaxError("compiling the contents before this one took all the time there is", 1, 1)
    try:
        done = subprocess.run(  # noqa: S603 - this program, by its full path
            [sys.executable, "-m", "apps.templates.html.compiler"],
            input=payload,
            capture_output=True,
            cwd=ROOT,
            # None of ours: it holds secrets, and the compiler needs no setting.
            env={"PYTHONDONTWRITEBYTECODE": "1"},
            timeout=patience,
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
