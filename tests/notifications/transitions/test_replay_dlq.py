"""The command that replays dead letters: its dry run, what it replays, and that it replays each once."""

import getpass
import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import DeadLetter
from tests.conftest import post, settled, timeline, wait_until


def replay(*arguments):
    out = StringIO()
    call_command("replay_dlq", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


@pytest.fixture
def failed(api, organization, version, smtp, worker):
    """Three failed emails, to a, b and c."""
    smtp.scripts["rcpt"] = "554 5.7.1 not from you"
    for name in "abc":
        answer = post(
            api, recipient={"email": f"{name}@example.com"}, channels=["email"], request_id=f"request-{name}"
        )
        assert answer.status_code == 202
    settled("failed")
    smtp.scripts["rcpt"] = "250 2.1.5 ok"
    return EmailLog.objects.all()


def test_dry_run_changes_nothing_then_each_is_sent_once(failed, smtp):
    assert replay("--dry-run") == {"dry_run": True, "replayed": 3, "skipped": 0}
    assert set(EmailLog.objects.values_list("status", flat=True)) == {"failed"}

    assert replay()["replayed"] == 3
    assert replay()["replayed"] == 0
    rows = settled("sent")
    assert replay()["replayed"] == 0
    assert len(smtp.wait_for(3)) == 3
    assert {(row.epoch, row.attempts, row.priority) for row in rows} == {(1, 1, 4)}
    ((state, by),) = set(DeadLetter.objects.values_list("state", "closed_by"))
    assert (state, by) == ("replayed", f"command:replay_dlq:{getpass.getuser()}")
    assert [kind for kind, _ in timeline(rows[0].notification_id)] == [
        "accepted",
        "failed",
        "replayed",
        "sent",
    ]


def test_it_says_what_it_takes(failed):
    out = StringIO()
    call_command("replay_dlq", "--dry-run", stdout=out)
    header, *lines, last = out.getvalue().splitlines()
    # The first that failed is the first here; which one that was is the worker's threads' affair.
    failed_as = DeadLetter.objects.order_by("id").values_list("notification__request_id", flat=True)
    assert sorted(failed_as) == ["request-a", "request-b", "request-c"]
    assert [line[header.index("RECIPIENT") :].split()[:3] for line in lines] == [
        [f"{name[-1]}***@example.com", "policy_refused", name] for name in failed_as
    ]
    assert all("554 5.7.1 not from you" in line for line in lines)
    assert last == "3 would be replayed, 0 skipped."


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--limit", "2"], 2),
        (["--request-id", "request-b"], 1),
        (["--reason", "policy_refused"], 3),
        (["--reason", "mailbox_unknown"], 0),
        (["--channel", "push"], 0),
        (["--channel", "email", "--template", "hello", "--organization", "acme"], 3),
        (["--template", "other"], 0),
        (["--organization", "other"], 0),
        (["--since", (timezone.now() + timedelta(days=1)).isoformat()], 0),
        (["--until", "2020-01-01"], 0),
        (["--since", "2020-01-01"], 3),
    ],
)
def test_filters(arguments, count, failed):
    assert replay("--dry-run", *arguments)["replayed"] == count
    assert replay(*arguments)["replayed"] == count
    wait_until(lambda: EmailLog.objects.filter(status="sent").count() == count)


def test_a_replay_that_fails_again_can_be_replayed_again(failed, smtp):
    smtp.scripts["rcpt"] = "554 5.7.1 still not"
    replay()
    wait_until(lambda: DeadLetter.objects.filter(state="open", epoch=1).count() == 3)
    smtp.scripts["rcpt"] = "250 ok"
    assert replay()["replayed"] == 3
    settled("sent")


def test_an_unknown_end_is_replayed_only_when_asked_for(api, version, smtp, worker):
    from tests.support.smtp_server import Do

    smtp.scripts["dot"] = [(Do.TAKE, Do.CLOSE), "250 ok"]
    post(api, recipient={"email": "d@example.com"}, channels=["email"])
    settled("unknown")
    assert replay()["replayed"] == 0
    assert replay("--reason", "unknown")["replayed"] == 1
    settled("sent")


def test_past_its_expiry_nothing_is_replayed(failed):
    from apps.notifications.models import Notification

    Notification.objects.update(expires_at=timezone.now())
    assert replay()["replayed"] == 0


@pytest.mark.parametrize(
    "arguments", [["--limit", "0"], ["--rate", "-1"], ["--since", "yesterday"], ["--channel", "fax"]]
)
def test_bad_arguments_are_refused(arguments, db):
    with pytest.raises(CommandError):
        replay(*arguments)


def test_a_dead_letter_whose_row_moved_on_stays_open(failed):
    from apps.notifications.transitions.dead_letters import replay as replay_dead_letter

    dead_letter = DeadLetter.objects.first()
    EmailLog.objects.filter(pk=dead_letter.delivery_id).update(status="sent")
    assert not replay_dead_letter(dead_letter, by="test")
    dead_letter.refresh_from_db()
    assert dead_letter.state == "open"
