"""What a killed sender leaves: its journal says which rows went out, may have, or never did."""

import fcntl
import os
import time

import pytest
from django.db.models import F

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.outcome import Outcome, Result
from apps.notifications.delivery import crash_recovery, sender
from apps.notifications.delivery.crash_recovery import CrashRecovery
from apps.notifications.delivery.journal import BOOT, Segment
from apps.notifications.delivery.runtime import runtime
from apps.notifications.models import DeadLetter
from apps.notifications.transitions import claims
from apps.templates.models import Template
from tests.conftest import deliver, post, settled, timeline, wait_until
from tests.notifications.delivery.attempts import take


@pytest.fixture
def rows(api, user, version, unpublished, transactional_db):
    """Six rows."""
    for _ in range(6):
        post(api, user, channels=["email"])
    return list(EmailLog.objects.order_by("id"))


@pytest.fixture(autouse=True)
def _no_grace(monkeypatch):
    monkeypatch.setattr(crash_recovery, "GRACE_SECONDS", 0)


@pytest.fixture
def segment(settings):
    return Segment(settings.JOURNAL_DIR)


@pytest.fixture
def claimed(rows, segment):
    """The same, claimed by a sender that writes this journal."""
    token = f"{segment.name}/1"
    take(EmailLog, [str(row.pk) for row in rows], token=token)
    found, _ = claims.load(EmailLog, [row.pk for row in rows], token)
    return sorted(found, key=lambda row: row.pk)


def die(segment):
    """As kill -9 does it: the lock goes with the process."""
    os.close(segment._file)


def left(settings):
    return list(settings.JOURNAL_DIR.glob("*"))


SENT = Outcome(Result.SENT, "accepted", "dot: 250 queued as 4F", provider_message_id="4F")


@pytest.mark.parametrize("on_unknown", ["hold", "resend"])
def test_each_row_gets_what_the_journal_knows(claimed, segment, settings, on_unknown):
    Template.objects.update(on_unknown=on_unknown)
    untouched, begun, sent, refused, gone, cut = claimed
    for row in (begun, sent, refused, gone, cut):
        assert segment.begin(row.pk, row.fence)
    segment.answer(sent.pk, sent.fence, SENT, "relay")
    segment.answer(refused.pk, refused.fence, Outcome(Result.RETRY, "greylisted", wait=300.0), "relay")
    dead = Outcome(Result.PERMANENT, "mailbox_unknown", "rcpt: 550 5.1.1", recipient_gone=True)
    segment.answer(gone.pk, gone.fence, dead, "relay")
    os.write(segment._file, f'answered {cut.pk} {cut.fence} ["relay",{{"resu'.encode())
    die(segment)

    assert CrashRecovery().recover() == 6

    found = {row.pk: row for row in EmailLog.objects.all()}
    ambiguous = "unknown" if on_unknown == "hold" else "queued"
    assert [found[row.pk].status for row in claimed] == [
        "queued", ambiguous, "sent", "queued", "failed", ambiguous,
    ]  # fmt: skip
    assert found[untouched.pk].attempts == 0
    assert found[untouched.pk].published_at is None
    assert [kind for kind, _ in timeline(untouched.notification_id)] == ["accepted"]
    assert (found[sent.pk].provider, found[sent.pk].provider_message_id) == ("relay", "4F")
    assert timeline(refused.notification_id)[-1] == ("retry", "greylisted")
    assert DeadLetter.objects.filter(delivery_id=gone.pk, code="mailbox_unknown").exists()
    kinds = [kind for kind, _ in timeline(begun.notification_id)]
    assert kinds == ["accepted", "unknown", *(["resend"] if on_unknown == "resend" else [])]
    assert not left(settings)
    assert CrashRecovery().recover() == 0


def test_a_living_senders_is_left_alone(claimed, segment, settings):
    segment.begin(claimed[0].pk, claimed[0].fence)
    assert CrashRecovery().recover() == 0
    assert set(EmailLog.objects.values_list("status", flat=True)) == {"sending"}
    assert len(left(settings)) == 1


def test_after_a_reboot_nothing_of_it_is_believed(claimed, segment, settings):
    """The machine went down: what the journal holds may be less than what was done."""
    segment.answer(claimed[0].pk, claimed[0].fence, SENT, "relay")
    other = segment.name.replace(f".{BOOT}.", ".0123abcd.")
    EmailLog.objects.update(claimed_by=f"{other}/1")
    segment._path.rename(segment._path.with_name(f"{other}.journal"))
    die(segment)
    CrashRecovery().recover()
    assert set(EmailLog.objects.values_list("status", flat=True)) == {"unknown"}
    assert not left(settings)


def test_a_row_that_was_claimed_again_since_is_not_touched(claimed, segment):
    first, second, *_ = claimed
    segment.answer(first.pk, first.fence, SENT, "relay")
    segment.begin(second.pk, second.fence)
    EmailLog.objects.filter(pk__in=[first.pk, second.pk]).update(
        fence=F("fence") + 1, claimed_by="another.host.0.ab/1"
    )
    die(segment)
    CrashRecovery().recover()
    statuses = dict(EmailLog.objects.values_list("pk", "status"))
    assert statuses[first.pk] == statuses[second.pk] == "sending"
    assert [statuses[row.pk] for row in claimed[2:]] == ["queued"] * 4


def test_a_late_answer_beats_the_lease(claimed, segment):
    """No process recovered it for ten minutes, the scheduler called it unknown, and then the journal is read."""
    row = claimed[0]
    segment.answer(row.pk, row.fence, SENT, "relay")
    EmailLog.objects.filter(pk=row.pk).update(status="unknown")
    die(segment)
    CrashRecovery().recover()
    assert EmailLog.objects.get(pk=row.pk).status == "sent"


def test_a_claim_that_is_committed_late_is_found(claimed, segment, settings, monkeypatch):
    """The sender dies while the database still works on its claim."""
    monkeypatch.setattr(crash_recovery, "GRACE_SECONDS", 0.2)
    EmailLog.objects.update(status="queued")
    die(segment)
    recovery = CrashRecovery()
    assert recovery.recover() == 0
    EmailLog.objects.update(status="sending")
    wait_until(lambda: recovery.recover() == 6)
    wait_until(lambda: recovery.recover() == 0 and not left(settings))
    assert set(EmailLog.objects.values_list("status", flat=True)) == {"queued"}


def test_one_that_was_seen_before_its_writer_locked_it_has_its_grace(db, segment, settings, monkeypatch):
    monkeypatch.setattr(crash_recovery, "GRACE_SECONDS", 0.2)
    recovery = CrashRecovery()
    fcntl.flock(segment._file, fcntl.LOCK_UN)
    recovery.recover()
    fcntl.flock(segment._file, fcntl.LOCK_EX)
    recovery.recover()
    time.sleep(0.3)
    die(segment)
    recovery.recover()
    assert left(settings)
    wait_until(lambda: recovery.recover() == 0 and not left(settings))


def test_what_was_never_begun_is_sent_by_the_next(claimed, segment, smtp):
    die(segment)
    CrashRecovery().recover()
    deliver("email", [str(row.pk) for row in claimed])
    settled("sent")
    assert len(smtp.wait_for(6)) == 6


def test_nothing_is_begun_that_cannot_be_noted(rows, smtp, settings, monkeypatch):
    """A full disk: the message waits, and the log shows why."""
    opened = runtime.journal.open()
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(opened, "_file", full)
    sender.deliver("email", [str(rows[0].pk)])
    os.close(full)
    monkeypatch.undo()
    runtime.journal.close(opened)
    assert not smtp.wait_for(0)
    row = EmailLog.objects.get(pk=rows[0].pk)
    assert (row.status, row.attempts, row.error_code) == ("queued", 0, "lease_lapsed")


def test_without_its_folder_rows_wait(rows, smtp, settings, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(settings, "JOURNAL_DIR", tmp_path / "file")
    monkeypatch.setattr(runtime.journal, "_segment", None)
    deliver("email", [str(row.pk) for row in rows])
    assert set(EmailLog.objects.values_list("status", "attempts")) == {("queued", 0)}
    assert not smtp.wait_for(0)


def test_a_process_that_ends_in_order_leaves_no_file(rows, smtp, settings, monkeypatch):
    monkeypatch.setattr(runtime.journal, "_segment", None)
    deliver("email", [str(row.pk) for row in rows])
    assert len(left(settings)) == 1
    runtime.journal.end()
    assert not left(settings)


def test_a_full_file_is_followed_by_another(rows, smtp, settings, monkeypatch):
    monkeypatch.setattr("apps.notifications.delivery.journal.ROTATE_AT", 100)
    monkeypatch.setattr(runtime.journal, "_segment", None)
    for row in rows:
        deliver("email", [str(row.pk)])
    assert len(left(settings)) == 1
    settled("sent")
