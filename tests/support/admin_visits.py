"""Runs of `manage.py doctor`, in this process or in their own."""

import json
import os
import subprocess
import sys
from io import StringIO

from django.core.management import call_command
from django.db import connection

from tests.environment import ROOT

PASSWORD = "hunter2-and-more"
TOKEN = "doctor-of-notifier"


class Visit:
    """One run of the command, here or (with an environment) in a process of its own."""

    def __init__(self, code, text):
        self.code, self.text = code, text
        self.answer = json.loads(text)

    def sentences(self, check, level="wrong"):
        return [
            f"{finding['sentence']} {finding['remedy']}".strip()
            for finding in self.answer["findings"]
            if (finding["check"], finding["level"]) == (check, level)
        ]

    def sentence(self, check, level="wrong"):
        (found,) = self.sentences(check, level)
        return found


def visit():
    out = StringIO()
    try:
        call_command("doctor", "--json", stdout=out)
    except SystemExit as end:
        return Visit(end.code, out.getvalue())
    return Visit(0, out.getvalue())


def command(*arguments, **environment):
    base, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    values = {"DATABASE_URL": f"{base}/{connection.settings_dict['NAME']}", **environment}
    return subprocess.run(
        [sys.executable, "manage.py", "doctor", *arguments],
        cwd=ROOT, env={**os.environ, **values}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def visit_with(**environment):
    done = command("--json", **environment)
    assert done.stdout, done.stderr
    return Visit(done.returncode, done.stdout)
