"""Sandbox recipients: every outcome of a delivery can be tested through the whole pipeline without a real send."""

import pytest

from apps.notifications.channels import sandbox
from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.notifications.models import Callback, DeadLetter, Event, Suppression
from apps.notifications.routing import accounts
from apps.users.models import Device
from tests.conftest import client_for, post, settled, timeline, wait_until
from tests.support.factories import DeviceFactory, template_with
from tests.support.webhook_calls import put

pytestmark = pytest.mark.usefixtures("worker", "version", "smtp", "fcm", "quick")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(sandbox, "SLOW_SECONDS", 0.3)


@pytest.fixture
def rehearsal(organization):
    """A client with a test key."""
    return client_for(organization, live=False)


@pytest.fixture
def sandboxed(settings, smtp, fcm):
    """Every key's messages go to the sandbox, as in a staging system."""
    settings.EMAIL_PROVIDER_URL = settings.PUSH_PROVIDER_URL = "sandbox://"
    accounts.close_all()


def send(client, scenario, channel="email", **body):
    recipient = (
        {"email": f"{scenario}@sandbox.test"}
        if channel == "email"
        else {"device_token": f"sandbox-{scenario}"}
    )
    answer = post(client, recipient=recipient, channels=[channel], **body)
    assert answer.status_code == 202, answer.content
    return answer.json()["data"]["id"]


ENDS = [
    ("delivered", "delivered", ["sent", "delivered"]),
    ("bounced", "bounced", ["sent", "bounced"]),
    ("complained", "delivered", ["sent", "delivered", "complained"]),
    ("permfail", "failed", ["failed"]),
    ("slow", "sent", ["sent"]),
    ("unknown", "unknown", ["unknown"]),
    ("anybody", "sent", ["sent"]),
]


@pytest.mark.parametrize("channel", ["email", "push"])
@pytest.mark.parametrize(("scenario", "status", "entries"), ENDS, ids=[end[0] for end in ENDS])
def test_a_recipient_says_how_it_ends(rehearsal, smtp, scenario, status, entries, channel):
    made = send(rehearsal, scenario, channel)
    (row,) = settled(status)
    assert row.provider == "sandbox"
    wait_until(lambda: [kind for kind, _ in timeline(made)] == ["accepted", *entries])
    assert smtp.connections == 0


@pytest.mark.parametrize("channel", ["email", "push"])
def test_two_failures_and_then_it_is_sent(rehearsal, channel, time_passes):
    made = send(rehearsal, "tempfail", channel)
    model = EmailLog if channel == "email" else PushLog
    for attempts in (1, 2):
        wait_until(lambda n=attempts: model.objects.filter(status="queued", attempts=n).exists())
        time_passes()
    (row,) = settled("sent")
    assert row.attempts == 3
    assert timeline(made)[1:] == [("retry", "temporarily_refused")] * 2 + [("sent", "")]


def test_a_failure_for_good_leaves_a_dead_letter(rehearsal):
    send(rehearsal, "permfail")
    settled("failed")
    assert DeadLetter.objects.get().code == "refused"


def test_an_uncertain_end_is_sent_once_more_where_the_template_says_so(rehearsal, organization, time_passes):
    template_with(organization, code="code", on_unknown="resend")
    made = send(rehearsal, "unknown", template_code="code")
    wait_until(lambda: EmailLog.objects.filter(status="queued", resends=1).exists())
    time_passes()
    settled("unknown")
    assert [kind for kind, _ in timeline(made)] == ["accepted", "unknown", "resend", "unknown"]


def test_what_follows_a_plus_makes_no_difference(rehearsal):
    for address in ("Bounced+1@sandbox.test", "bounced+2@SANDBOX.TEST"):
        post(rehearsal, recipient={"email": address}, channels=["email"])
    post(rehearsal, recipient={"device_token": "sandbox-bounced-17"}, channels=["push"])
    settled("bounced")


def test_another_domain_is_not_magic(rehearsal):
    post(rehearsal, recipient={"email": "bounced@example.com"}, channels=["email"])
    settled("sent")


def test_callers_get_a_callback_for_each_step(rehearsal, api, settings):
    settings.CALLBACK_ALLOWED_HOSTS = ["127.0.0.1"]
    put(api, "http://127.0.0.1:9/")
    send(rehearsal, "delivered")
    settled("delivered")
    assert list(Callback.objects.order_by("id").values_list("type", flat=True)) == [
        "delivery.sent",
        "delivery.delivered",
    ]


@pytest.mark.parametrize("scenario", ["bounced", "complained"])
class TestWhatItMeansForTheRecipient:
    def test_a_rehearsal_suppresses_nothing(self, rehearsal, user, scenario):
        DeviceFactory(user=user, token=f"sandbox-{scenario}")
        for channel in ("email", "push"):
            send(rehearsal, scenario, channel)
        wait_until(lambda: Event.objects.filter(kind=scenario).count() == 2)
        assert not Suppression.objects.exists()
        assert Device.objects.active().filter(user=user).count() == 2

    def test_a_live_delivery_on_the_sandbox_does(self, api, sandboxed, scenario):
        send(api, scenario)
        suppression = wait_until(Suppression.objects.first)
        assert (suppression.recipient, suppression.channel) == (f"{scenario}@sandbox.test", "email")
        send(api, scenario)
        wait_until(lambda: EmailLog.objects.filter(status="skipped", reason="suppressed").exists())


@pytest.mark.usefixtures("sandboxed")
def test_a_live_key_on_the_sandbox_reaches_nobody(api, user, smtp, fcm):
    post(api, user)
    rows = settled("sent")
    assert {(row.channel, row.provider) for row in rows} == {("email", "sandbox"), ("push", "sandbox")}
    assert all(row.provider_message_id.startswith("sandbox-") for row in rows)
    assert smtp.connections == 0


def test_a_live_key_on_a_real_provider_finds_no_magic(api, smtp):
    send(api, "bounced")
    settled("sent")
    (mail,) = smtp.wait_for(1)
    assert mail.recipients == ("bounced@sandbox.test",)
