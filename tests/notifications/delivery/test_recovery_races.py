"""Races and errors between the steps of a delivery: a known outcome is never lost, and no person is sent it twice."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import DatabaseError, OperationalError
from django.utils import timezone
from kombu import Producer

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.email.providers.smtp.provider import SmtpProvider
from apps.notifications.channels.outcome import Outcome, Result
from apps.notifications.channels.push.log import PushLog
from apps.notifications.delivery import route, sender
from apps.notifications.models import DeadLetter, Event, Notification, ProviderState, from_now
from apps.notifications.queue import broker as publishing
from apps.notifications.routing import accounts
from apps.notifications.scheduler import republisher
from apps.notifications.transitions import claims, outcomes
from apps.templates.models import Template
from apps.users.models import Device, NotificationPreference
from tests.conftest import client_for, deliver, post, settled, wait_until
from tests.notifications.delivery.attempts import claim, record_sent, take
from tests.notifications.queue.test_broker import channel, dead_letter_consumer  # noqa: F401 - fixtures
from tests.notifications.scheduler.test_tick import republished
from tests.support.factories import UserFactory
from tests.support.smtp_server import Do


@pytest.fixture
def row(api, user, version, unpublished, transactional_db):
    post(api, user, channels=["email"])
    return EmailLog.objects.get()


def lapse():
    EmailLog.objects.filter(status="sending").update(lease_until=from_now(-1))
    republisher.free_lapsed()


def test_a_provider_that_cannot_be_made_uses_no_attempt(
    api, user, version, unpublished, transactional_db, settings
):
    """The service account's file is missing (a secret not mounted yet)."""
    settings.PUSH_PROVIDER_URL = "fcm://project/?credentials=/nowhere/account.json"
    accounts.close_all()
    post(api, user, channels=["push"])
    post(api, user, channels=["push"])
    try:
        deliver("push", [str(r.pk) for r in PushLog.objects.order_by("id")])
    except Exception as error:  # noqa: BLE001
        pytest.fail(f"raised {type(error).__name__}")
    PushLog.objects.filter(status="sending").update(lease_until=from_now(-1))
    republisher.free_lapsed()
    assert [r.status for r in PushLog.objects.order_by("id")] == ["queued", "queued"]
    assert ProviderState.objects.exists()


def test_database_away_between_claim_and_send_is_not_unknown(row, smtp, monkeypatch):
    def gone(*a):
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(claims, "give_back_unreadable", gone)
    sender.deliver("email", [str(row.pk)])
    monkeypatch.undo()
    assert (EmailLog.objects.get().status, EmailLog.objects.get().published_at) == ("queued", None)
    lapse()
    sender.deliver("email", [str(row.pk)])
    assert not smtp.connections or EmailLog.objects.get().status == "sent"
    assert EmailLog.objects.get().status != "unknown"


def test_a_known_send_is_not_sent_again(row, smtp):
    """Database away for > 20 s while the relay takes the message; the template says resend."""
    Template.objects.update(on_unknown="resend")
    claimed = claim(row, "slow")
    lapse()  # the scheduler is back before the sender
    assert EmailLog.objects.get().status == "queued"
    assert record_sent(claimed, Outcome(Result.SENT, "accepted"))  # not claimed since
    sender.deliver("email", [str(row.pk)])
    assert len(smtp.wait_for(0)) == 0


@pytest.mark.parametrize("result", [Result.RETRY, Result.DEFERRED, Result.PERMANENT, Result.CONFIGURATION])
def test_a_known_refusal_is_not_left_unknown(row, result):
    """The same outage, and the sender knows that nothing went out (relay down, 450, lease_lapsed)."""
    claimed = claim(row, "slow")
    lapse()
    outcomes.record(claimed, Outcome(result, "connect_failed"), provider="smtp")
    assert EmailLog.objects.get().status in ("queued", "failed")


def test_freeing_looks_at_the_lease_again(row, monkeypatch):
    """Renewed between the scheduler's SELECT and its UPDATE: the sender is alive and may write the final dot."""
    Template.objects.update(on_unknown="resend")
    claimed = claim(row, "w")
    EmailLog.objects.update(lease_until=from_now(-1))
    real = outcomes.unknown

    def renewed_meanwhile(*args, **kwargs):
        EmailLog.objects.filter(pk=row.pk, fence=claimed.fence, status="sending").update(
            lease_until=from_now(20)
        )
        return real(*args, **kwargs)

    monkeypatch.setattr(outcomes, "unknown", renewed_meanwhile)
    republisher.free_lapsed()
    assert EmailLog.objects.get().status == "sending"


def test_a_late_confirmation_does_not_undo_a_stopping_workers_release(row):
    sender.runtime.stopping.set()
    try:
        sender.deliver("email", [str(row.pk)])  # SIGTERM: another worker has the row within a second
    finally:
        sender.runtime.stopping.clear()
    publishing._record_published({("email", row.fence): [str(row.pk)]})  # up to 0.4 s later
    EmailLog.objects.update(created_at=from_now(-30))
    assert republished(ready=7) == [str(row.pk)]


def test_a_token_that_moved_to_another_person_gets_nothing_of_the_former_owners(
    api, user, organization, version, fcm, worker, time_passes
):
    post(api, user, channels=["push"], scheduled_at=(timezone.now() + timedelta(hours=1)).isoformat())
    bob = UserFactory(organization=organization, email="bob@example.com")
    moved = api.post(
        f"/api/v1/users/{bob.pk}/devices/", {"token": "ada-phone-token-0001", "platform": "android"}
    )
    assert moved.status_code == 200
    time_passes()
    settled("sent", "skipped", "failed")
    assert not fcm.messages


def test_a_deleted_person_gets_nothing(api, user, version, smtp, worker, time_passes):
    NotificationPreference.objects.create(user=user, channel="email", enabled=False)
    post(api, user, channels=["email"], scheduled_at=(timezone.now() + timedelta(hours=1)).isoformat())
    assert api.delete(f"/api/v1/users/{user.pk}/").status_code == 204
    time_passes()
    settled("sent", "skipped")
    assert not smtp.wait_for(0)


def test_a_removed_device_is_not_pushed_to(api, user, version, fcm, worker, time_passes):
    post(api, user, channels=["push"], scheduled_at=(timezone.now() + timedelta(hours=1)).isoformat())
    Device.objects.get().delete()
    time_passes()
    settled("sent", "skipped", "failed")
    assert not fcm.messages


def test_a_past_schedule_still_has_its_retries(api, user, version, smtp, worker, time_passes):
    smtp.scripts["rcpt"] = ["450 4.2.1 try later", "250 ok"]
    answer = post(
        api, user, channels=["email"], scheduled_at=(timezone.now() - timedelta(days=2)).isoformat()
    )
    if answer.status_code == 400:
        return
    time_passes()
    wait_until(lambda: EmailLog.objects.get().attempts)
    assert (EmailLog.objects.get().status, EmailLog.objects.get().reason) == ("queued", "")


def put_failed(channel, body, **headers):
    Producer(channel).publish(
        body, exchange="notifications.dlx", routing_key="failed", content_type="text/plain",
        content_encoding="binary", headers=headers,
    )  # fmt: skip


def test_an_odd_header_does_not_block_the_dead_letter_consumer(
    channel, dead_letter_consumer, transactional_db
):  # noqa: F811
    put_failed(channel, b"odd", **{"x-death": ["a word"]})
    put_failed(channel, b"good")
    errors = []

    def done():
        try:
            dead_letter_consumer.consume_now()
        except Exception as error:  # noqa: BLE001 - the scheduler logs loop_failed
            errors.append(f"{type(error).__name__}: {error}")
        return DeadLetter.objects.count() == 2 or len(errors) > 20

    wait_until(done)
    assert not errors


def test_two_dead_letters_of_one_hash_do_not_block_it(channel, dead_letter_consumer, transactional_db):  # noqa: F811
    """Two schedulers overlapped once (a pass longer than the 5 s lease): nothing forbids the second row."""
    import hashlib

    for _ in range(2):
        DeadLetter.objects.create(body_hash=hashlib.sha256(b"twin").hexdigest(), reason="rejected")
    put_failed(channel, b"twin")
    put_failed(channel, b"good")
    errors = []

    def done():
        try:
            dead_letter_consumer.consume_now()
        except Exception as error:  # noqa: BLE001
            errors.append(type(error).__name__)
        return DeadLetter.objects.filter(body=b"good").exists() or len(errors) > 20

    wait_until(done)
    assert not errors


def test_a_full_pass_is_followed_by_another(channel, dead_letter_consumer, transactional_db):  # noqa: F811
    for n in range(110):
        put_failed(channel, str(n).encode())
    wait_until(lambda: dead_letter_consumer.consume_now() == 100 or DeadLetter.objects.count() >= 100)
    assert (
        dead_letter_consumer.consume_if_due() > 0
    )  # else 20 a second at most, and `failed` grows without bound in a mass failure


def test_a_test_keys_request_id_does_not_swallow_the_live_one(organization, user, version, smtp, worker):
    test, live = client_for(organization, live=False), client_for(organization)
    body = {"channels": ["email"], "request_id": "order:1"}
    post(test, user, **body)
    settled("sent")
    answer = post(live, user, **body)
    # Today: 409 already_delivered, and nothing ever left the machine.
    assert answer.json()["error"] != "already_delivered"


def test_what_may_have_gone_out_is_not_cancelled(api, row, smtp):
    Template.objects.update(on_unknown="resend")
    smtp.scripts["dot"] = [(Do.TAKE, Do.CLOSE), "250 ok"]
    sender.deliver("email", [str(row.pk)])
    assert EmailLog.objects.get().resends == 1
    assert len(smtp.wait_for(1)) == 1  # the relay has it
    assert api.post(f"/api/v1/notifications/{row.notification_id}/cancel/").status_code == 409


def test_one_bad_row_does_not_stop_freeing_and_publishing(
    api, user, version, unpublished, transactional_db, monkeypatch
):
    for _ in range(2):
        post(api, user, channels=["email"])
    EmailLog.objects.update(status="sending", lease_until=from_now(-1), fence=1)
    bad = EmailLog.objects.order_by("id").first()
    DeadLetter.objects.create(delivery_id=bad.pk, epoch=0, reason="unknown", state="discarded")
    try:
        republisher.free_lapsed()
    except DatabaseError as error:
        pytest.fail(f"raised {type(error).__name__}")
    assert EmailLog.objects.exclude(status="sending").exists()


def test_a_stopping_worker_still_gives_the_record_its_time(row, smtp, monkeypatch):
    """PostgreSQL restarts for two seconds during a deploy: the relay has taken the message."""
    import time

    real, back = sender.record_attempts, []

    def away(*args, **kwargs):
        back.append(time.monotonic())
        if time.monotonic() - back[0] < 2:
            raise OperationalError("the database system is shutting down")
        return real(*args, **kwargs)

    monkeypatch.setattr(sender, "record_attempts", away)
    original = route._send

    def stop_while_sending(*args):
        sender.runtime.stopping.set()
        return original(*args)

    monkeypatch.setattr(route, "_send", stop_while_sending)
    try:
        sender.deliver("email", [str(row.pk)])
    finally:
        sender.runtime.stopping.clear()
    assert len(smtp.wait_for(1)) == 1
    assert EmailLog.objects.get().status == "sent"


def test_the_policys_order_puts_opt_out_before_expiry(row, user, smtp):
    NotificationPreference.objects.create(user=user, channel="email", enabled=False)
    Notification.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    sender.deliver("email", [str(row.pk)])
    assert (EmailLog.objects.get().status, EmailLog.objects.get().reason) == ("skipped", "opted_out")


def test_no_attempt_begins_after_the_deadline(row, smtp):
    EmailLog.objects.update(deadline_at=from_now(-60))
    sender.deliver("email", [str(row.pk)])
    assert EmailLog.objects.get().status == "failed"


def test_a_stalled_claim_does_not_read_anothers_fence(row):
    """UPDATE committed, then the connection stalls past the lease before the SELECT (frozen database, partition)."""
    Template.objects.update(on_unknown="resend")
    take(EmailLog, [str(row.pk)], token="A")
    lapse()
    second = claim(row, "B")
    assert second.claimed_by == "B"
    assert claims.load(EmailLog, [row.pk], "A") == ([], [])


def test_an_answer_with_a_nul_is_recorded(
    api, user, version, unpublished, transactional_db, fcm, monkeypatch
):
    class Odd:
        name = "fcm"

        def send(self, message, *, may_commit):
            from apps.notifications.channels.push.providers.fcm.outcomes import outcome_of

            may_commit()
            return outcome_of(400, b'{"error":{"message":"bad\\u0000byte"}}', {}, token="t")

        def close(self):
            pass

    odd = replace(accounts.SCHEMES["push"]["fcm"], make=lambda *_: Odd())
    monkeypatch.setitem(accounts.SCHEMES["push"], "fcm", odd)
    post(api, user, channels=["push"])
    sender.deliver("push", [str(PushLog.objects.get().pk)])
    assert PushLog.objects.get().status == "failed"


def test_an_answer_with_half_a_character_is_recorded_with_the_others(row, version, smtp, monkeypatch):
    """A name from JSON that no database can hold."""
    odd = replace(Outcome(Result.SENT, "accepted"), detail="a\ud800b", provider_message_id="c\udfffd\0e")
    monkeypatch.setattr(SmtpProvider, "send", lambda *_, may_commit: may_commit() and odd)
    sender.deliver("email", [str(row.pk)])
    sent = EmailLog.objects.get()
    assert (sent.status, sent.provider_message_id) == ("sent", "c?de")
    assert Event.objects.get(kind="sent").data["detail"] == "a?b"


def test_a_late_answer_comes_last_in_the_timeline(api, row):
    """Written down after the lease ran out, which the scheduler has noted by then."""
    claimed = claim(row, "slow")
    lapse()
    record_sent(claimed, Outcome(Result.SENT, "accepted"), ago=60)
    sent = EmailLog.objects.get()
    assert sent.status == "sent"
    assert sent.sent_at < sent.finished_at
    shown = api.get(f"/api/v1/notifications/{row.notification_id}/events/").json()["data"]
    assert [entry["kind"] for entry in shown][-2:] == ["unknown", "sent"]


def test_the_timeline_is_ordered_by_the_databases_clock(api, row, monkeypatch):
    """A worker host whose clock is two seconds behind the API's."""
    import uuid

    import uuid6

    from apps.notifications.transitions import timeline as lines

    before = int.from_bytes(uuid6.uuid7().bytes, "big") - (2_000 << 80)
    monkeypatch.setattr(Event._meta.get_field("id"), "_get_default", lambda: uuid.UUID(int=before))
    lines.note(row, "sent")
    monkeypatch.undo()
    shown = api.get(f"/api/v1/notifications/{row.notification_id}/events/").json()["data"]
    assert [event["kind"] for event in shown] == ["accepted", "sent"]


def test_a_wake_up_given_up_on_is_found_by_the_scheduler_soon(row, monkeypatch):
    """Database away for > 30 s under a backlog: the message is acknowledged, the row stays marked as published."""
    from apps.notifications.delivery import tasks

    EmailLog.objects.update(published_at=from_now(-61), created_at=from_now(-61))
    monkeypatch.setattr(tasks, "deliver", lambda *a, **k: (_ for _ in ()).throw(OperationalError("away")))
    from celery.exceptions import Reject

    with pytest.raises(Reject) as again:
        tasks.deliver_rows.run(v=1, channel="email", ids=[str(row.pk)])
    assert again.value.requeue
