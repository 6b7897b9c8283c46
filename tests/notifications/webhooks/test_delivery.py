"""Which callbacks are sent, and how often: through the API, the queue, a worker and a receiver that verifies."""

import json
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone
from standardwebhooks.webhooks import WebhookVerificationError

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.delivery.sender import deliver
from apps.notifications.models import Callback, CallbackAttempt, Notification, WebhookEndpoint, from_now
from apps.notifications.scheduler.republisher import free_lapsed
from apps.notifications.transitions import timeline
from apps.notifications.webhooks import client, delivery
from tests.conftest import client_for, settled, wait_until
from tests.support.factories import OrganizationFactory
from tests.support.webhook_calls import ENDPOINT, ended, log, put, send, tomorrow, waiting
from tests.support.webhook_receiver import Receiver, Say

pytestmark = pytest.mark.usefixtures("worker", "version", "smtp", "loopback")


def test_a_sent_delivery_is_announced_and_verifies(api, user, hooks, secret):
    made = send(api, user, request_id="order-7")
    ended()

    (call,) = hooks.calls
    event = call.verified(secret)
    assert event["type"] == "delivery.sent"
    assert event["data"] == {
        "notification_id": made["id"],
        "request_id": "order-7",
        "delivery_id": made["deliveries"][0]["id"],
        "channel": "email",
        "status": "sent",
        "reason": "",
        "code": "",
        "at": event["timestamp"],
    }
    assert call.path == "/hooks?from=notifier"
    assert call.headers["user-agent"] == "Notifier"
    assert call.headers["host"] == urlsplit(hooks.url).netloc
    assert b"ada@" not in call.body
    assert len(call.body) < 20_000
    (entry,) = log(api)
    assert (entry["webhook_id"], entry["http_status"], entry["status"]) == (call.id, 204, "delivered")
    assert entry["notification_id"] == made["id"]


def test_a_tampered_body_does_not_verify(api, user, hooks, secret):
    send(api, user)
    ended()
    (call,) = hooks.calls
    with pytest.raises(WebhookVerificationError):
        type(call)(call.path, call.headers, call.body.replace(b"sent", b"lost")).verified(secret)


def test_every_final_status_is_announced_as_often_as_the_log_says(
    api, user, hooks, secret, smtp, time_passes
):
    smtp.scripts["rcpt"] = ["250 2.1.5 ok", "550 5.7.1 not here"]
    sent = send(api, user)["deliveries"][0]["id"]
    wait_until(lambda: EmailLog.objects.get(pk=sent).status == "sent")
    failed = send(api, user)["deliveries"][0]["id"]
    wait_until(lambda: EmailLog.objects.get(pk=failed).status == "failed")
    answer = api.post("/api/v1/email/status/", {"delivery_id": sent, "status": "delivered"}, format="json")
    assert answer.json()["data"]["moved"]
    later = send(api, user, scheduled_at=tomorrow())
    assert api.post(f"/api/v1/notifications/{later['id']}/cancel/").status_code == 200
    api.patch(f"/api/v1/users/{user.pk}/preferences/", {"email": False}, format="json")
    skipped = send(api, user)
    assert skipped["status"] == "skipped"
    ended(count=5)

    posted = Counter(call.verified(secret)["type"] for call in hooks.calls)
    kinds = ("sent", "failed", "delivered", "cancelled", "skipped")
    assert posted == Counter({f"delivery.{kind}": 1 for kind in kinds})
    logged = Counter(entry["webhook_id"] for entry in log(api))
    assert logged == Counter(call.id for call in hooks.calls)
    (refused,) = [e for call in hooks.calls if (e := call.verified(secret))["type"] == "delivery.failed"]
    assert refused["data"]["reason"] == refused["data"]["code"] != ""


def test_unknown_and_expired_are_announced(api, user, hooks, secret, smtp, unpublished):
    send(api, user)
    send(api, user)
    first, second = EmailLog.objects.order_by("id")
    EmailLog.objects.filter(pk=first.pk).update(status="sending", lease_until=from_now(-1))
    Notification.objects.filter(pk=second.notification_id).update(expires_at=Now())
    free_lapsed()
    deliver("email", [str(second.pk)])
    assert {row.type for row in Callback.objects.all()} == {"delivery.unknown", "delivery.expired"}


def test_both_urls_are_called_and_one_url_only_once(api, user, hooks, secret):
    with Receiver() as other:
        send(api, user, callback_url=other.url)
        ended(count=2)
        send(api, user, callback_url=hooks.url)
        ended(count=3)
        assert len(other.calls) == 1
        other.calls[0].verified(secret)
    assert len(hooks.calls) == 2
    assert len({call.id for call in [*hooks.calls, *other.calls]}) == 3


def test_a_callback_url_alone_is_signed_with_a_secret_made_for_it(api, user, hooks):
    send(api, user, callback_url=hooks.url)
    ended()
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.url == ""
    assert hooks.calls[0].verified(endpoint.secret)["type"] == "delivery.sent"
    assert "secret" not in api.get(ENDPOINT).json()["data"]
    # It was never shown, so the first PUT shows it.
    assert put(api, hooks.url)["secret"] == endpoint.secret
    assert put(api, hooks.url)["secret"] is None


def test_without_either_nothing_is_stored(api, user):
    send(api, user)
    settled("sent")
    assert not Callback.objects.exists()
    assert not WebhookEndpoint.objects.exists()


def test_a_failure_is_tried_again_with_the_same_id(api, user, hooks, secret, retry):
    hooks.script = [Say(503, body=b"busy"), Say(cut=True)]
    send(api, user)
    row = waiting(1)
    assert row.error_code == "http_503"
    assert 4 < (row.due_at - timezone.now()).total_seconds() < 7
    retry()
    row = waiting(2)
    assert row.error_code in ("unreadable_answer", "connection_failed")
    assert 290 < (row.due_at - timezone.now()).total_seconds() < 380
    retry()
    ended()

    assert len({call.id for call in hooks.calls}) == 1
    assert len(hooks.calls) == 3
    assert len({call.body for call in hooks.calls}) == 1
    assert [entry["number"] for entry in log(api)] == [3, 2, 1]
    assert log(api)[2]["detail"] == "busy"


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("600", 590, 601),
        ("1", 4, 7),
        ("9999999", 86000, 86401),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 86000, 86401),
        # A year that no date can have.
        ("Fri, 01 Jan 99999999999999 00:00:00 GMT", 4, 7),
    ],
)
def test_retry_after_is_kept_within_bounds(header, low, high, api, user, hooks, secret):
    hooks.always = Say(429, (("Retry-After", header),))
    send(api, user)
    row = waiting(1)
    assert low < (row.due_at - timezone.now()).total_seconds() < high


@pytest.mark.parametrize("status", [301, 307, 400, 404])
def test_a_no_is_tried_three_times_and_a_redirect_never_followed(status, api, user, hooks, secret, retry):
    with Receiver() as elsewhere:
        hooks.always = Say(status, (("Location", elsewhere.url),))
        send(api, user)
        for tries in (1, 2):
            waiting(tries)
            retry()
        (row,) = ended("failed")
        assert (row.attempts, row.error_code) == (3, f"http_{status}")
        retry()
        assert len(hooks.calls) == 3 == len(log(api))
        assert not elsewhere.calls


def test_the_schedule_ends(api, user, hooks, secret, retry, settings):
    settings.CALLBACK_SCHEDULE = [1, 1]
    hooks.always = Say(500)
    send(api, user)
    for tries in (1, 2):
        waiting(tries)
        retry()
    (row,) = ended("failed")
    assert row.attempts == len(hooks.calls) == 3


def test_410_disables_the_endpoint(api, user, hooks, secret):
    hooks.always = Say(410)
    send(api, user)
    ended("failed")
    endpoint = api.get(ENDPOINT).json()["data"]
    assert endpoint["enabled"] is False
    assert "410" in endpoint["disabled_reason"]
    send(api, user)
    settled("sent")
    assert Callback.objects.count() == len(hooks.calls) == 1
    assert api.post(f"{ENDPOINT}test/").status_code == 404
    put(api, hooks.url)
    assert api.get(ENDPOINT).json()["data"]["disabled_reason"] == ""


def test_a_receiver_that_does_not_listen_is_tried_again(api, user, retry):
    with Receiver() as gone:
        pass
    send(api, user, callback_url=gone.url)
    assert waiting(1).error_code == "connection_failed"


def test_during_a_rotation_both_secrets_verify(api, user, hooks, secret):
    new = api.post(f"{ENDPOINT}rotate/", {}, format="json").json()["data"]["secret"]
    assert new != secret
    send(api, user)
    ended()
    hooks.calls[0].verified(secret)
    hooks.calls[0].verified(new)
    WebhookEndpoint.objects.update(former_until=from_now(-1))
    send(api, user)
    ended(count=2)
    hooks.calls[1].verified(new)
    with pytest.raises(WebhookVerificationError):
        hooks.calls[1].verified(secret)
    last = api.post(f"{ENDPOINT}rotate/", {"overlap": 0}, format="json").json()["data"]["secret"]
    assert WebhookEndpoint.objects.get().signing_secrets() == [last]


def test_a_dripping_receiver_is_left_in_time(api, user, hooks, secret, monkeypatch):
    monkeypatch.setattr(client, "TOTAL_SECONDS", 1.0)
    hooks.always = Say(drip=0.05)
    began = time.monotonic()
    send(api, user)
    assert waiting(1).error_code == "timeout"
    assert time.monotonic() - began < 4
    assert 900 < CallbackAttempt.objects.get().milliseconds < 2000


def test_an_answer_with_nul_is_written_down_like_any_other(api, user, hooks, secret, retry):
    hooks.always = Say(raw=b"\0\r\n\r\n")
    send(api, user)
    entry = wait_until(lambda: CallbackAttempt.objects.first())
    assert entry.code == "unreadable_answer"
    assert Callback.objects.get().status == "queued"


def test_a_callback_that_kills_every_sender_comes_to_an_end(api, user, hooks, secret, unpublished, settings):
    settings.CALLBACK_SCHEDULE = [5, 300]
    made = send(api, user)
    deliver("email", [made["deliveries"][0]["id"]])
    delays = []
    for _ in range(4):
        Callback.objects.filter(status__in=["queued", "sending"]).update(
            status="sending", lease_until=from_now(-1)
        )
        delivery.free_lapsed(10)
        row = Callback.objects.get()
        delays.append((row.due_at - timezone.now()).total_seconds())
    assert (row.status, row.error_code) == ("failed", "sender_lost")
    assert delays[0] < 1
    assert 200 < delays[1] < 500


def test_a_long_answer_is_cut(api, user, hooks, secret):
    hooks.always = Say(500, body=b"\0" + b"x" * 1_000_000)
    send(api, user)
    waiting(1)
    assert CallbackAttempt.objects.get().detail == "x" * 500


def test_no_database_connection_is_held_during_the_call(api, user, hooks, secret, monkeypatch):
    held = []
    posted = client.post

    def look(*args):
        held.append(connection.connection)
        return posted(*args)

    monkeypatch.setattr(client, "post", look)
    send(api, user)
    ended()
    assert held == [None]


def test_a_worker_that_dies_before_the_record_sends_again_with_the_same_id(
    api, user, hooks, secret, retry, monkeypatch
):
    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(delivery, "record", die)
        patched.setattr("apps.notifications.queue.broker.publisher.wake", lambda rows: None)
        made = send(api, user)
        row = EmailLog.objects.get(notification=made["id"])
        deliver("email", [str(row.pk)])
        callback = Callback.objects.get()
        with pytest.raises(Killed):
            delivery.call_back([str(callback.pk)], stopping=threading.Event())
    assert len(hooks.calls) == 1
    Callback.objects.update(lease_until=from_now(-1))
    assert free_lapsed() == 1
    retry()
    ended()
    assert [call.id for call in hooks.calls] == [str(callback.pk)] * 2
    assert [(entry["number"], entry["code"]) for entry in log(api)] == [(2, "http_204"), (1, "sender_lost")]


def test_the_test_event(api, hooks, secret):
    answer = api.post(f"{ENDPOINT}test/")
    assert answer.status_code == 202
    ended()
    assert hooks.calls[0].id == answer.json()["data"]["id"]
    assert hooks.calls[0].verified(secret)["type"] == "endpoint.test"


def test_what_waits_for_a_deleted_endpoint_is_cancelled(api, user, hooks, secret, retry):
    hooks.always = Say(500)
    send(api, user)
    waiting(1)
    assert api.delete(ENDPOINT).status_code == 204
    assert api.get(ENDPOINT).status_code == 404
    retry()
    ended("cancelled")
    assert len(hooks.calls) == 1


def test_a_rolled_back_change_is_never_announced(api, user, hooks, secret, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError

    later = send(api, user, scheduled_at=tomorrow())
    monkeypatch.setattr(timeline, "note", fail)
    with pytest.raises(RuntimeError):
        api.post(f"/api/v1/notifications/{later['id']}/cancel/")
    assert not Callback.objects.exists()


def test_an_endpoint_belongs_to_its_organization(api, user, hooks, secret):
    other = client_for(OrganizationFactory())
    assert other.get(ENDPOINT).status_code == 404
    assert other.delete(ENDPOINT).status_code == 404
    send(api, user)
    ended()
    assert other.get(f"{ENDPOINT}deliveries/").json()["data"] == []
    assert secret not in json.dumps(api.get(ENDPOINT).json())
