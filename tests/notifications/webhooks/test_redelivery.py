"""`webhook-endpoints/replay/`: the same events under the same ids, to an endpoint that takes them now."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.notifications.models import Callback, CallbackAttempt, WebhookEndpoint, from_now
from apps.notifications.webhooks import redelivery
from tests.conftest import client_for, wait_until
from tests.support.factories import OrganizationFactory
from tests.support.routes import refused
from tests.support.webhook_calls import ENDPOINT, ended, log, put, send, tomorrow, waiting
from tests.support.webhook_receiver import Receiver, Say

REPLAY = f"{ENDPOINT}replay/"
pytestmark = pytest.mark.usefixtures("worker", "version", "smtp", "loopback")


def ago(**span):
    return (timezone.now() - timedelta(**span)).isoformat()


def replay(api, **body):
    answer = api.post(REPLAY, {"since": ago(hours=1), **body}, format="json")
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


@pytest.fixture
def failed(api, hooks, secret, settings):
    """A callback that was given up; the receiver is well again."""
    settings.CALLBACK_SCHEDULE = []
    hooks.always = Say(500)
    assert api.post(f"{ENDPOINT}test/").status_code == 202
    (row,) = ended("failed")
    hooks.always = Say()
    return row


@pytest.fixture
def republish(_republisher):
    """Runs the republisher once, with the rows' own due times."""
    return _republisher.republish


def test_what_failed_arrives_under_its_id(api, hooks, secret, failed, republish):
    assert replay(api, dry_run=True) == {"dry_run": True, "queued": 1}
    assert Callback.objects.get().status == "failed"
    assert replay(api) == {"dry_run": False, "queued": 1}
    assert replay(api) == {"dry_run": False, "queued": 0}
    Callback.objects.update(created_at=from_now(-60))
    republish()
    (row,) = ended()
    assert (row.attempts, row.error_code) == (1, "")
    assert [call.id for call in hooks.calls] == [str(failed.pk)] * 2
    assert hooks.calls[0].body == hooks.calls[1].body
    hooks.calls[1].verified(secret)
    assert [(entry["number"], entry["http_status"]) for entry in log(api)] == [(1, 204), (1, 500)]


def test_the_schedule_begins_anew(api, hooks, failed, republish, settings):
    settings.CALLBACK_SCHEDULE = [60]
    hooks.always = Say(500)
    replay(api)
    Callback.objects.update(created_at=from_now(-60))
    republish()
    assert waiting(1).pk == failed.pk


def test_all_takes_along_what_was_delivered(api, hooks, failed, republish):
    api.post(f"{ENDPOINT}test/")
    ended()
    assert replay(api, dry_run=True)["queued"] == 1
    assert replay(api, dry_run=True, status="all")["queued"] == 2
    assert replay(api, status="all")["queued"] == 2
    Callback.objects.update(created_at=from_now(-60))
    republish()
    ended(count=2)
    assert len(hooks.calls) == 4
    assert len({call.id for call in hooks.calls}) == 2


def test_what_waits_is_left_alone(api, hooks, secret):
    hooks.always = Say(503)
    api.post(f"{ENDPOINT}test/")
    before = waiting(1)
    assert replay(api, status="all")["queued"] == 0
    after = Callback.objects.get()
    assert (after.due_at, after.attempts) == (before.due_at, 1)


def test_the_range_is_kept(api, failed):
    Callback.objects.update(created_at=timezone.now() - timedelta(days=3))
    assert replay(api, since=ago(days=2), dry_run=True)["queued"] == 0
    assert replay(api, since=ago(days=4), until=ago(days=3, hours=1), dry_run=True)["queued"] == 0
    assert replay(api, since=ago(days=4), until=ago(days=2), dry_run=True)["queued"] == 1


def test_another_organizations_are_not_touched(api, failed, hooks):
    other = client_for(OrganizationFactory())
    refused(other.post(REPLAY, {"since": ago(hours=1)}, format="json"), 404, "not_found")
    put(other, hooks.url)
    assert replay(other, status="all")["queued"] == 0
    assert Callback.objects.get().status == "failed"


def test_a_disabled_endpoint_is_refused_and_what_it_missed_comes_later(api, hooks, secret, retry):
    hooks.always = Say(503)
    api.post(f"{ENDPOINT}test/")
    waiting(1)
    put(api, hooks.url, enabled=False)
    retry()
    (row,) = ended("cancelled")
    assert row.error_code == "no_endpoint"
    refused(api.post(REPLAY, {"since": ago(hours=1)}, format="json"), 409, "endpoint_disabled")
    assert Callback.objects.get().status == "cancelled"

    hooks.always = Say()
    put(api, hooks.url)
    assert replay(api)["queued"] == 1
    retry()
    ended()
    assert [call.id for call in hooks.calls] == [str(row.pk)] * 2


def test_without_an_endpoints_url_only_other_urls_are_called(api, user, hooks, failed):
    with Receiver() as other:
        other.always = Say(500)
        later = send(api, user, scheduled_at=tomorrow(), callback_url=other.url)
        api.post(f"/api/v1/notifications/{later['id']}/cancel/")
        # To the endpoint, and to the URL of its own.
        wait_until(lambda: Callback.objects.filter(status="delivered").count() == 1)
        wait_until(lambda: Callback.objects.filter(status="failed").count() == 2)
    assert replay(api, dry_run=True)["queued"] == 2
    WebhookEndpoint.objects.update(url="")
    assert replay(api, dry_run=True)["queued"] == 1


def test_a_flood_is_spread(api, failed, monkeypatch):
    monkeypatch.setattr(redelivery, "BATCH", 1)
    Callback.objects.create(
        organization=failed.organization, type=failed.type, payload=failed.payload, status="failed"
    )
    assert replay(api)["queued"] == 2
    first, second = Callback.objects.order_by("due_at")
    gap = (second.due_at - first.due_at).total_seconds()
    assert gap == pytest.approx(redelivery.BATCH_SECONDS, abs=0.5)


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "since", "required"),
        ({"since": ago(days=40)}, "since", "too_long"),
        ({"since": ago(days=40), "until": ago(days=1)}, "since", "too_long"),
        ({"since": ago(hours=1), "until": ago(hours=2)}, "since", "order"),
        ({"since": tomorrow()}, "since", "order"),
        ({"since": ago(hours=1), "status": "queued"}, "status", "invalid_choice"),
        ({"since": ago(hours=1), "limit": 5}, "limit", "unknown_field"),
    ],
)
def test_nonsense_is_refused_by_name(body, field, code, api, failed):
    found = refused(api.post(REPLAY, body, format="json"), 400, "validation_error")
    assert (found["errors"][0]["field"], found["errors"][0]["code"]) == (field, code)
    assert Callback.objects.get().status == "failed"


def test_more_than_a_request_may_queue_is_refused_whole(api, failed, monkeypatch):
    monkeypatch.setattr(redelivery, "MOST", 0)
    found = refused(api.post(REPLAY, {"since": ago(hours=1)}, format="json"), 400)
    assert found["errors"][0]["code"] == "too_many"
    assert Callback.objects.get().status == "failed"
    assert CallbackAttempt.objects.count() == 1
