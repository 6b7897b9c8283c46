"""A command whose reader closes the pipe early (`| head`) ends without a message."""

import os
import subprocess
import sys

import pytest
from django.db import connection

from apps.notifications.models import DeadLetter
from tests.environment import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

COMMANDS = [
    ["dlq", "list", "--limit", "5000"],
    ["dlq", "--json", "list", "--limit", "5000"],
    ["doctor"],
    ["doctor", "--json"],
    ["recheck_suppressions"],
    ["reread_events"],
    ["audit_delivery"],
    ["purge", "--dry-run"],
    ["replay_dlq", "--dry-run", "--limit", "5000"],
    ["showmigrations"],
]


@pytest.fixture
def dead_letters(organization):
    DeadLetter.objects.bulk_create(
        DeadLetter(organization=organization, reason="refused", channel="email", detail="x" * 400)
        for _ in range(3000)
    )


@pytest.mark.usefixtures("dead_letters")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_it_ends_quietly(command):
    base, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    environment = {**os.environ, "DATABASE_URL": f"{base}/{connection.settings_dict['NAME']}"}
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT, env=environment, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr
    assert "Exception ignored" not in done.stderr
    # As a program that SIGPIPE ended.
    assert done.returncode == 141
