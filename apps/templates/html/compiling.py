"""Compiles an assembled source to HTML: MJML compiled, style sheets inlined. Done once, when a version is created,
in a subprocess with time and memory limits."""

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
"""Seconds of wall-clock time, enough on a busy machine; the subprocess limits its own CPU time."""
TOO_LONG = f"with its layout and inlined styles it would be longer than {COMPILED_LIMIT // 1024} KiB"
PATIENCE = 2.0
"""Seconds that a request waits for a slot: its thread is one of the few that serve all organizations."""
compiler_slots = ConcurrencyLimit(total=2, each=1)
"""Subprocesses at once: `total` per API process, `each` per organization, so that many authors, or a malicious one,
can't use up the machine."""


def compiled(source: Assembled, organization_id: Hashable) -> str:
    """The text to render instead of `source`; takes a compiler slot of the organization.

    Raises TemplateSyntaxError, and Busy where no slot is free within PATIENCE.
    """
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
        raise TemplateSyntaxError("compiling the previous contents used up the time limit", 1, 1)
    try:
        done = subprocess.run(  # noqa: S603 - our own program, by the interpreter's full path
            [sys.executable, "-m", "apps.templates.html.compiler"],
            input=payload,
            capture_output=True,
            cwd=ROOT,
            # Not this process's environment: it holds secrets, and the compiler needs no settings.
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
