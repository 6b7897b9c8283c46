"""What each end of a send makes of the row, the timeline, the address and the provider: through the whole path."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.notifications.models import DeadLetter, Event, ProviderState, Suppression
from apps.templates.models import Template
from apps.users.models import Device
from notifier.channels.declaration import RetryPolicy
from notifier.local import fcm_answers
from tests.conftest import post, settled, timeline, wait_until
from tests.support.smtp_server import Do

pytestmark = pytest.mark.usefixtures("worker", "version")


def email(api, user):
    answer = post(api, user, channels=["email"])
    assert answer.status_code == 202
    return answer.json()["data"]["id"]


def push(api, user):
    answer = post(api, user, channels=["push"])
    assert answer.status_code == 202
    return answer.json()["data"]["id"]


def tried(model=EmailLog):
    """The one row, once a sender has let go of it."""
    return wait_until(
        lambda: model.objects.exclude(status="sending").exclude(error_code="", status="queued").first()
    )


def test_450_then_250_is_tried_again_and_sent(api, user, smtp, time_passes):
    smtp.scripts["rcpt"] = ["450 4.2.1 try later", "250 2.1.5 ok"]
    notification = email(api, user)

    row = tried()
    assert (row.status, row.error_code, row.attempts) == ("queued", "temporarily_refused", 1)
    assert 15 <= (row.due_at - timezone.now()).total_seconds() <= 46
    time_passes()

    (row,) = settled("sent")
    assert row.attempts == 2
    assert timeline(notification) == [("accepted", ""), ("retry", "temporarily_refused"), ("sent", "")]
    assert "450 4.2.1 try later" in api.get(f"/api/v1/notifications/{notification}/events/").content.decode()


def test_550_5_1_1_fails_at_once_and_suppresses_the_address(api, user, smtp):
    smtp.scripts["rcpt"] = "550 5.1.1 no such user"
    notification = email(api, user)

    (row,) = settled("failed")
    assert timeline(notification) == [("accepted", ""), ("failed", "mailbox_unknown")]
    dead_letter = DeadLetter.objects.get()
    assert (dead_letter.delivery_id, dead_letter.state, dead_letter.code) == (
        row.pk,
        "open",
        "mailbox_unknown",
    )
    assert "550 5.1.1 no such user" in dead_letter.detail
    assert Suppression.objects.active().get().recipient_hash == row.recipient_hash
    again = email(api, user)
    skipped = api.get(f"/api/v1/notifications/{again}/").json()["data"]
    assert (skipped["status"], skipped["deliveries"][0]["reason"]) == ("skipped", "suppressed")


def test_disabled_for_now_ends_an_address_on_the_second_day(api, user, smtp):
    smtp.scripts["rcpt"] = "450 4.2.1 this account is disabled"
    first = email(api, user)
    assert tried().error_code == "mailbox_disabled"
    EmailLog.objects.update(status="failed", due_at=Now())
    email(api, user)
    wait_until(lambda: EmailLog.objects.filter(error_code="mailbox_disabled").count() == 2)
    assert not Suppression.objects.exists()

    EmailLog.objects.update(status="failed", due_at=Now())
    Event.objects.filter(notification_id=first, kind="retry").update(at=Now() - timedelta(days=1, hours=1))
    third = email(api, user)
    wait_until(lambda: EmailLog.objects.filter(notification_id=third, status="failed").exists())
    assert timeline(third) == [("accepted", ""), ("failed", "mailbox_disabled")]
    assert Suppression.objects.active().get().reason == "mailbox_disabled"


def test_535_is_our_error_and_uses_no_attempt(api, user, settings, smtp, time_passes):
    from apps.notifications.routing import accounts

    smtp.scripts["ehlo"] = "250-test.invalid\n250 AUTH PLAIN LOGIN"
    smtp.scripts["auth"] = ["535 5.7.8 bad credentials", "235 2.7.0 welcome"]
    settings.EMAIL_PROVIDER_URL = smtp.url.replace("smtp://", "smtp://user:secret@") + "?tls=none"
    accounts.close_all()
    notification = email(api, user)

    row = tried()
    assert (row.status, row.error_code, row.attempts) == ("queued", "auth_failed", 0)
    state = ProviderState.objects.get()
    # A minute, give or take a tenth: what failed together needn't come back together.
    assert 50 < (state.open_until - timezone.now()).total_seconds() <= 66
    # Meanwhile nothing is tried: a second one rests without a connection.
    connections = smtp.connections
    email(api, user)
    wait_until(lambda: EmailLog.objects.filter(status="queued", error_code="auth_failed").count() == 2)
    assert smtp.connections == connections
    time_passes()
    settled("sent")
    assert timeline(notification) == [("accepted", ""), ("deferred", "auth_failed"), ("sent", "")]


@pytest.mark.parametrize(("on_unknown", "status", "taken"), [("hold", "unknown", 1), ("resend", "sent", 2)])
def test_a_cut_after_the_final_dot(on_unknown, status, taken, api, user, smtp, time_passes):
    Template.objects.update(on_unknown=on_unknown)
    smtp.scripts["dot"] = [(Do.TAKE, Do.CLOSE), "250 2.0.0 taken"]
    notification = email(api, user)

    wait_until(lambda: EmailLog.objects.get().error_code == "lost_after_dot")
    time_passes()
    (row,) = settled(status)
    caught = smtp.wait_for(taken)
    assert len(caught) == taken
    ids = {
        line
        for mail in caught
        for line in mail.data.split(b"\r\n")
        if line.lower().startswith(b"message-id:")
    }
    assert len(ids) == 1
    held = DeadLetter.objects.filter(reason="unknown", state="open")
    if on_unknown == "hold":
        assert timeline(notification) == [("accepted", ""), ("unknown", "lost_after_dot")]
        assert held.get().delivery_id == row.pk
    else:
        kinds = [kind for kind, _ in timeline(notification)]
        assert kinds == ["accepted", "unknown", "resend", "sent"]
        assert not held.exists()


def test_a_second_unknown_end_is_held_even_where_resending_is_allowed(api, user, smtp, time_passes):
    Template.objects.update(on_unknown="resend")
    smtp.scripts["dot"] = (Do.TAKE, Do.CLOSE)
    notification = email(api, user)

    wait_until(lambda: EmailLog.objects.get().resends == 1)
    time_passes()
    settled("unknown")
    assert len(smtp.wait_for(2)) == 2
    assert [kind for kind, _ in timeline(notification)] == ["accepted", "unknown", "resend", "unknown"]


def test_429_waits_as_long_as_fcm_asks_and_uses_no_attempt(api, user, fcm, time_passes):
    fcm.script("ada-phone-token-0001", fcm_answers.quota("120"))
    notification = push(api, user)

    row = tried(PushLog)
    assert (row.status, row.attempts, row.error_code) == ("queued", 0, "throttled")
    assert 115 <= (row.due_at - timezone.now()).total_seconds() <= 145
    time_passes()
    settled("sent")
    assert timeline(notification) == [("accepted", ""), ("deferred", "throttled"), ("sent", "")]


def test_unregistered_retires_the_device(api, user, fcm):
    fcm.script("ada-phone-token-0001", fcm_answers.unregistered())
    notification = push(api, user)

    settled("failed")
    assert timeline(notification) == [("accepted", ""), ("failed", "unregistered")]
    assert Device.objects.get().retired_at is not None
    again = api.get(f"/api/v1/notifications/{push(api, user)}/").json()["data"]
    assert (again["status"], again["deliveries"][0]["reason"]) == ("skipped", "no_contact")


def test_unregistered_spares_a_device_that_got_a_new_token_meanwhile(api, user, fcm):
    """The answer is about the token that was sent to; the device has another by the time it comes."""
    device = Device.objects.get()
    fcm.script("ada-phone-token-0001", "stall")
    push(api, user)
    # Before FCM has the request, the sender would still see that the device moved on.
    wait_until(lambda: fcm.stalled)
    row = PushLog.objects.get()
    device.token = "a-newer-token"
    device.save()

    from apps.notifications.channels.outcome import Outcome, Result
    from apps.notifications.transitions import outcomes

    row.db_now = timezone.now()
    gone = Outcome(Result.PERMANENT, "unregistered", recipient_gone=True)
    assert outcomes.record(row, gone, provider="fcm")
    device.refresh_from_db()
    assert device.retired_at is None
    fcm.hang_up()


def test_a_token_that_moved_to_another_person_is_not_sent_to(api, user, organization, fcm, time_passes):
    from tests.support.factories import UserFactory

    later = (timezone.now() + timedelta(hours=1)).isoformat()
    assert post(api, user, channels=["push"], scheduled_at=later).status_code == 202
    bob = UserFactory(organization=organization)
    Device.objects.filter(user=user).update(user=bob)
    time_passes()
    (row,) = settled("skipped")
    assert row.reason == "no_contact"
    assert not fcm.messages


def test_a_deleted_person_is_not_mailed(api, user, smtp, time_passes):
    later = (timezone.now() + timedelta(hours=1)).isoformat()
    assert post(api, user, channels=["email"], scheduled_at=later).status_code == 202
    assert api.delete(f"/api/v1/users/{user.pk}/").status_code == 204
    time_passes()
    (row,) = settled("skipped")
    assert row.reason == "user_inactive"
    assert not smtp.wait_for(0)


def test_a_provider_that_cannot_be_made_is_our_error(api, user, settings, fcm, time_passes):
    from apps.notifications.routing import accounts

    usable = settings.PUSH_PROVIDER_URL
    settings.PUSH_PROVIDER_URL = "fcm://stand-in/?credentials=/no/such/file.json"
    accounts.close_all()
    notification = push(api, user)
    row = tried(PushLog)
    assert (row.status, row.error_code, row.attempts) == ("queued", "provider_unusable", 0)
    assert "/no/such/file.json" in row.error_detail
    assert ProviderState.objects.get().code == "provider_unusable"
    settings.PUSH_PROVIDER_URL = usable
    time_passes()
    settled("sent")
    assert timeline(notification) == [("accepted", ""), ("deferred", "provider_unusable"), ("sent", "")]


def test_a_bare_404_is_our_error_and_retires_no_device(api, user, fcm, time_passes):
    fcm.script("ada-phone-token-0001", fcm_answers.bare(404))
    notification = push(api, user)

    row = tried(PushLog)
    assert (row.status, row.attempts, row.error_code) == ("queued", 0, "not_found")
    assert Device.objects.get().retired_at is None
    assert ProviderState.objects.get().name == "fcm"
    time_passes()
    settled("sent")
    assert timeline(notification) == [("accepted", ""), ("deferred", "not_found"), ("sent", "")]


def test_the_last_attempt_ends_in_a_dead_letter(api, user, smtp, settings, time_passes):
    settings.RETRY_POLICIES = {
        **settings.RETRY_POLICIES,
        "email": RetryPolicy(steps=(0.01, 0.01), repeat_last=False, deadline=3600),
    }
    smtp.scripts["rcpt"] = "451 4.3.0 later"
    notification = email(api, user)

    def gone():
        time_passes()
        return EmailLog.objects.filter(status="failed").first()

    row = wait_until(gone)
    assert (row.reason, row.attempts) == ("retries_exhausted", 3)
    assert [kind for kind, _ in timeline(notification)] == ["accepted", "retry", "retry", "failed"]
    assert DeadLetter.objects.get().reason == "retries_exhausted"


def test_past_its_deadline_a_message_fails_as_timed_out(api, user, smtp, time_passes):
    smtp.scripts["rcpt"] = "451 4.3.0 later"
    notification = email(api, user)
    tried()
    EmailLog.objects.update(deadline_at=F("created_at"))
    time_passes()

    (row,) = settled("failed")
    assert row.reason == "timed_out"
    assert timeline(notification)[-1] == ("failed", "temporarily_refused")


def test_a_repeated_deferral_is_noted_once(api, user, fcm, time_passes):
    fcm.script("ada-phone-token-0001", *[fcm_answers.quota("60")] * 3)
    notification = push(api, user)
    for calls in range(1, 4):
        wait_until(lambda: PushLog.objects.filter(status="queued", fence=calls))  # noqa: B023 - called at once
        time_passes()
    settled("sent")
    assert timeline(notification) == [("accepted", ""), ("deferred", "throttled"), ("sent", "")]
