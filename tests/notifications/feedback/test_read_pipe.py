"""Bounces that a mail server pipes into the command, one at a time: what is stored, and what the server is told."""

import json

import pytest

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.email.render import return_path
from apps.notifications.models import ProviderEvent
from scripts.private_services.process import free_port
from tests.notifications.feedback.test_read_bounces import (  # noqa: F401
    HOSTILE,
    files,
    message_id,
    row,
    suppressed,
    verp,
)
from tests.support.bounce_mails import postfix
from tests.support.bounce_reader import run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bounce(row):
    return postfix(return_path(row.pk), message_id(row))


def aside(tmp_path):
    return [(path.parent.name, path.read_bytes()) for path in tmp_path.rglob("bounces-aside/*/*")]


def test_a_bounce_is_stored_without_a_word(bounce, tmp_path):
    done = run("-", stdin=bounce, VAR_DIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, b"")
    assert (EmailLog.objects.get().status, suppressed()) == ("bounced", ["bounced"])
    assert aside(tmp_path) == []


@pytest.mark.parametrize("first", [b"From MAILER-DAEMON Tue Nov 24 10:00:02 2026\n", b"Return-Path: <>\n"])
def test_what_local_delivery_puts_before_it_is_no_matter(first, bounce, tmp_path):
    done = run("-", "--json", stdin=first + bounce.replace(b"\r\n", b"\n"), VAR_DIR=str(tmp_path))
    assert json.loads(done.stdout) == {"read": 1, "bounced": 1}
    assert EmailLog.objects.get().status == "bounced"


def test_the_same_bounce_again_changes_nothing(bounce, tmp_path):
    for _ in range(2):
        assert run("-", stdin=bounce, VAR_DIR=str(tmp_path)).returncode == 0
    assert ProviderEvent.objects.count() == 1


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize("kind", ["a letter", "empty", "binary", "nested"])
def test_what_is_no_bounce_is_kept_and_the_server_is_told_nothing(kind, tmp_path):
    done = run("-", stdin=HOSTILE[kind], VAR_DIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"bounce_put_aside" in done.stderr
    assert aside(tmp_path) == [("new", HOSTILE[kind])]
    assert suppressed() == []


@pytest.mark.usefixtures("row")
def test_of_a_huge_mail_the_first_part_is_kept_and_all_of_it_is_taken(tmp_path):
    done = run("-", "--aside", str(tmp_path / "a/bounces-aside"), stdin=HOSTILE["huge"])
    assert done.returncode == 0
    assert aside(tmp_path) == [("new", HOSTILE["huge"][: 256 * 1024])]


def test_without_a_database_the_server_is_to_try_again(bounce, tmp_path):
    away = f"postgres://nobody@127.0.0.1:{free_port()}/none"
    done = run("-", stdin=bounce, VAR_DIR=str(tmp_path), DATABASE_URL=away)
    assert (done.returncode, done.stdout) == (75, b"")
    assert b"try again later" in done.stderr
    assert EmailLog.objects.get().status == "sent"
    assert run("-", stdin=bounce, VAR_DIR=str(tmp_path)).returncode == 0
    assert EmailLog.objects.get().status == "bounced"


@pytest.mark.usefixtures("row")
def test_what_can_be_kept_nowhere_is_to_come_again(tmp_path):
    (tmp_path / "file").write_text("")
    done = run("-", "--aside", str(tmp_path / "file/bounces-aside"), stdin=HOSTILE["a letter"])
    assert done.returncode == 75


@pytest.mark.usefixtures("row")
def test_a_row_that_somebody_holds_is_not_waited_for_without_end(bounce, tmp_path):
    from django.db import transaction

    with transaction.atomic():
        EmailLog.objects.select_for_update().get()
        done = run("-", stdin=bounce, VAR_DIR=str(tmp_path), QUERY_TIMEOUT="1")
    assert done.returncode == 75
    assert EmailLog.objects.get().status == "sent"


@pytest.mark.parametrize("arguments", [["-", "--follow"], ["{}", "--aside", "x"]])
def test_what_makes_no_sense_is_a_usage_error(arguments, tmp_path):
    assert run(*[one.format(tmp_path) for one in arguments]).returncode == 2
