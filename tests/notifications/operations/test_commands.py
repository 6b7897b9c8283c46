"""The commands dlq, audit_delivery, purge and consume_*."""

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from django.utils import timezone
from rest_framework.test import APIClient
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import (
    Callback,
    CallbackAttempt,
    DeadLetter,
    Event,
    IdempotencyRecord,
    Notification,
    from_now,
)
from apps.notifications.operations import purge
from tests.conftest import post, wait_until
from tests.environment import ROOT


def run(*arguments):
    out = StringIO()
    try:
        call_command(*arguments, stdout=out)
        code = 0
    except SystemExit as end:
        code = end.code
    return code, out.getvalue()


@pytest.fixture
def rows(api, user, version, db):
    post(api, user)
    return EmailLog.objects.get()


@pytest.fixture
def dead_letter(rows):
    EmailLog.objects.update(status="failed", finished_at=timezone.now())
    return DeadLetter.objects.create(
        organization=rows.organization, notification=rows.notification, delivery_id=rows.pk, channel="email",
        reason="retries_exhausted", code="mailbox_full", detail="rcpt: 452 4.2.2 full",
    )  # fmt: skip


def callback(organization, status="delivered", **fields):
    """A callback that was tried once."""
    row = Callback.objects.create(
        organization=organization, type="endpoint.test", payload={}, status=status, attempts=1, **fields
    )
    CallbackAttempt.objects.create(
        organization=organization, callback=row, number=1, url="https://example.com/"
    )
    return row


class TestDlq:
    def test_list_show_discard(self, dead_letter):
        assert str(dead_letter.pk) in run("dlq", "list")[1]
        shown = json.loads(run("dlq", "--json", "show", str(dead_letter.pk))[1])
        assert (shown["code"], shown["detail"]) == ("mailbox_full", "rcpt: 452 4.2.2 full")
        assert json.loads(run("dlq", "--json", "discard", str(dead_letter.pk))[1]) == {
            "discarded": 1,
            "closed_before": 0,
        }
        assert json.loads(run("dlq", "--json", "discard", str(dead_letter.pk))[1])["discarded"] == 0
        assert run("dlq", "list")[1] == ""
        assert str(dead_letter.pk) in run("dlq", "list", "--state", "all")[1]

    def test_a_list_is_a_table_that_says_each_thing_once(self, dead_letter):
        address = dead_letter.notification.user.email
        DeadLetter.objects.update(
            reason="mailbox_full",
            code="mailbox_full",
            detail=f"rcpt: 452 4.2.2 <{address}> {'is full ' * 40}",
        )
        Notification.objects.update(request_id="order-1")
        header, line = run("dlq", "list")[1].splitlines()
        for title, value in (
            ("ID", str(dead_letter.pk)),
            ("RECIPIENT", "a***@example.com"),
            ("REASON", "mailbox_full"),
            ("REQUEST_ID", "order-1"),
            ("THE PROVIDER'S REPLY", "rcpt: 452 4.2.2 <a***@example.com> is full"),
        ):
            assert line[header.index(title) :].startswith(value), title
        assert line.count("mailbox_full") == 1
        assert line.endswith("…")
        assert address not in line
        shown = json.loads(run("dlq", "--json", "list")[1])
        assert (shown["code"], shown["recipient"]) == ("mailbox_full", "a***@example.com")

    def test_a_dead_letter_without_a_delivery_is_listed(self, db):
        DeadLetter.objects.create(reason="undecodable", queue="email", body=b"?", body_hash="1" * 64)
        assert "undecodable" in run("dlq", "list")[1]

    def test_a_dead_letter_that_does_not_exist(self, db):
        for pk in ("nonsense", "01a1fda2-03ac-727d-b263-43381d63f3c8"):
            with pytest.raises(CommandError, match="no dead letter"):
                run("dlq", "show", pk)


class TestAudit:
    def test_everything_in_its_place(self, rows, dead_letter):
        code, output = run("audit_delivery", "--json")
        report = json.loads(output)
        assert (code, report["balanced"], report["findings"]) == (0, True, [])
        assert report["totals"]["email"]["accepted"] == report["totals"]["email"]["final"] == 1
        assert report["totals"]["push"]["waiting"] == 1
        assert "1 accepted = 1 final + 0 waiting" in run("audit_delivery")[1]

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"status": "queued", "due_at": from_now(-1300)}, "overdue"),
            ({"status": "sending", "lease_until": from_now(-100)}, "past its lease"),
            ({"status": "failed", "finished_at": from_now(0)}, "failed without a dead letter"),
            ({"status": "unknown"}, "unknown without a dead letter"),
            ({"status": "sent", "finished_at": from_now(0)}, "sent without a time"),
            ({"status": "cancelled"}, "final without a time"),
        ],
    )
    def test_a_row_out_of_place_is_named(self, fields, error, rows):
        EmailLog.objects.update(**fields)
        code, output = run("audit_delivery")
        assert code == 1
        assert error in output
        assert str(rows.pk) in output
        (finding,) = json.loads(run("audit_delivery", "--json")[1])["findings"]
        assert (finding["channel"], finding["count"], finding["ids"]) == ("email", 1, [str(rows.pk)])
        assert error in finding["fault"]

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"status": "queued", "due_at": from_now(-1300)}, "overdue"),
            ({"status": "sending", "lease_until": from_now(-100)}, "past its lease"),
            ({"status": "delivered"}, "final without a time"),
        ],
    )
    def test_an_inconsistent_callback_is_named(self, fields, error, organization):
        row = callback(organization, **fields)
        code, output = run("audit_delivery")
        assert code == 1
        assert f"1 callbacks {error}" in output
        assert str(row.pk) in output

    def test_callbacks_are_in_the_accounts(self, organization):
        callback(organization, finished_at=timezone.now())
        callback(organization, "failed", finished_at=timezone.now())
        callback(organization, "queued")
        callback(organization, "sending", lease_until=from_now(20))
        code, output = run("audit_delivery")
        assert "callbacks: 4 accepted = 2 final + 1 waiting + 1 in flight + 0 unknown" in output
        assert code == 0

    def test_an_open_dead_letter_of_a_sent_row_is_named(self, rows, dead_letter):
        EmailLog.objects.update(status="sent", sent_at=timezone.now())
        assert "open dead letter" in run("audit_delivery")[1]

    def test_a_notification_without_deliveries_is_named(self, rows):
        EmailLog.objects.all().delete()
        rows.notification.pushlog_set.all().delete()
        assert str(rows.notification_id) in run("audit_delivery")[1]


class TestPurge:
    def test_only_what_ended_long_ago_goes(self, api, user, rows):
        for name in ("sent", "queued", "unknown", "unknown-and-open"):
            made = post(api, user, channels=["email"], request_id=name).json()["data"]
            found = EmailLog.objects.filter(notification_id=made["id"])
            found.update(status=name.partition("-")[0])
            if "unknown" in name:
                state = "open" if "open" in name else "discarded"
                DeadLetter.objects.create(
                    notification_id=made["id"], delivery_id=found.get().pk, channel="email", reason="unknown",
                    state=state,
                )  # fmt: skip
        EmailLog.objects.filter(pk=rows.pk).update(status="failed")
        DeadLetter.objects.create(
            notification=rows.notification, delivery_id=rows.pk, channel="email", reason="x"
        )
        Notification.objects.update(created_at=F("created_at") - timedelta(days=100))
        young = post(api, user, request_id="young").json()["data"]["id"]
        EmailLog.objects.filter(notification_id=young).update(status="sent")

        assert json.loads(run("purge", "--dry-run", "--json")[1])["deleted"]["notifications"] == 2
        assert json.loads(run("purge", "--json")[1])["deleted"]["notifications"] == 2
        assert set(Notification.objects.values_list("request_id", flat=True)) == {
            None,
            "queued",
            "unknown-and-open",
            "young",
        }
        assert not Event.objects.exclude(notification__in=Notification.objects.all()).exists()

    def test_keys_go_after_two_days(self, api, user, version, db):
        post(api, user, headers={"Idempotency-Key": "a"})
        post(api, user, headers={"Idempotency-Key": "b"})
        IdempotencyRecord.objects.filter(key="a").update(created_at=from_now(-49 * 3600))
        run("purge")
        assert [record.key for record in IdempotencyRecord.objects.all()] == ["b"]

    def test_a_notification_whose_callback_waits_is_kept(self, rows, organization):
        EmailLog.objects.update(status="sent")
        rows.notification.pushlog_set.all().delete()
        waiting = callback(organization, "queued", notification=rows.notification)
        Notification.objects.update(created_at=F("created_at") - timedelta(days=100))
        run("purge")
        assert Notification.objects.exists()
        waiting.delete()
        run("purge")
        assert not Notification.objects.exists()

    def test_callbacks_that_ended_long_ago_go_with_their_tries_in_batches(self, organization, monkeypatch):
        monkeypatch.setattr(purge, "BATCH", 2)
        old = timezone.now() - timedelta(days=91)
        for status in ("delivered", "failed", "cancelled", "delivered", "failed"):
            callback(organization, status, finished_at=old, created_at=old)
        waiting = callback(organization, "queued", created_at=old)
        # It was replayed: made long ago, ended now.
        young = callback(organization, finished_at=timezone.now(), created_at=old)
        assert json.loads(run("purge", "--dry-run", "--json")[1])["deleted"]["callbacks"] == 5
        assert Callback.objects.count() == 7
        assert json.loads(run("purge", "--json")[1])["deleted"]["callbacks"] == 5
        assert set(Callback.objects.all()) == {waiting, young}
        assert {attempt.callback for attempt in CallbackAttempt.objects.all()} == {waiting, young}

    def test_sessions_that_ended_and_would_have_expired_go(self, user):
        user.set_password("correct horse battery")
        user.save()
        dead = []
        for _ in range(2):
            login = {"email": "ada@example.com", "password": "correct horse battery"}
            dead.append(APIClient().post("/api/v1/auth/login/", login).json()["data"]["refresh"])
            assert APIClient().post("/api/v1/auth/logout/", {"refresh": dead[-1]}).status_code == 204
        OutstandingToken.objects.filter(token=dead[0]).update(
            expires_at=timezone.now() - timedelta(seconds=1)
        )
        assert json.loads(run("purge", "--json")[1])["deleted"]["ended sessions"] == 1
        assert OutstandingToken.objects.get().token == dead[1]
        assert BlacklistedToken.objects.count() == 1
        # The one that could still be used stays dead.
        assert APIClient().post("/api/v1/auth/refresh/", {"refresh": dead[1]}).status_code == 401

    def test_nonsense_is_refused(self, db):
        with pytest.raises(CommandError):
            run("purge", "--days", "0")


@pytest.mark.parametrize(("command", "queue"), [("consume_emails", "email"), ("consume_push", "push")])
def test_a_consumer_by_name_runs_and_stops(command, queue, tmp_path):
    log = tmp_path / "log"
    with log.open("w") as output:
        part = subprocess.Popen(
            [sys.executable, "manage.py", command, "--threads", "1"],
            cwd=ROOT, env=os.environ, stdout=output, stderr=output,
        )  # fmt: skip
        try:
            wait_until(lambda: "ready." in log.read_text(), seconds=30)
            part.send_signal(signal.SIGTERM)
            assert part.wait(20) == 0
        finally:
            part.kill()
            part.wait()
