"""`manage.py read_bounces` as a process of its own, on the test's database."""

import os
import subprocess
import sys
from typing import Any

from django.db import connection

from tests.environment import ROOT

BOUNCES = "bounces@sender.test"


def environment(**more: str) -> dict[str, str]:
    base, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    database = f"{base}/{connection.settings_dict['NAME']}"
    return {**os.environ, "DATABASE_URL": database, "BOUNCE_ADDRESS": BOUNCES, **more}


def start(*arguments: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "read_bounces", *arguments],
        cwd=ROOT, env=environment(**more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(*arguments: str, stdin: bytes = b"", **more: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "manage.py", "read_bounces", *arguments],
        cwd=ROOT, env=environment(**more), input=stdin, capture_output=True, timeout=120, check=False,
    )  # fmt: skip


def ended(reader: subprocess.Popen[Any], signal_number: int) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of a reader that is told to end."""
    reader.send_signal(signal_number)
    out, err = reader.communicate(timeout=60)
    return reader.returncode, out, err
