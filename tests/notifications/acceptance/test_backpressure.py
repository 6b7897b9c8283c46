"""Past the high-water mark bulk requests are refused for now, and a password reset is not."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.notifications.acceptance import backpressure
from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import Notification
from tests.conftest import client_for, post
from tests.support.factories import OrganizationFactory, template_with

pytestmark = pytest.mark.usefixtures("version", "unpublished")


@pytest.fixture(autouse=True)
def looked_at_every_time(monkeypatch):
    monkeypatch.setattr(backpressure, "REFRESH_SECONDS", 0.0)
    # What this process saw here must not be believed by the next test.
    monkeypatch.setattr(backpressure, "gauge", backpressure.Gauge())


def test_past_the_mark_bulk_waits_and_transactional_is_taken(api, user, settings):
    settings.BULK_HIGH_WATER = 3
    for n in range(3):
        assert post(api, user, priority=1, channels=["email"], request_id=f"r{n}").status_code == 202
    refused = post(api, user, priority=4, channels=["email"])
    assert (refused.status_code, refused.json()["error"]) == (503, "too_many_waiting")
    assert refused["Retry-After"] == "30"
    assert Notification.objects.count() == 3
    assert post(api, user, priority=5, channels=["email"]).status_code == 202
    # What was accepted before is still known.
    assert post(api, user, priority=1, channels=["email"], request_id="r1").status_code == 202

    EmailLog.objects.filter(priority=1).update(status="sent")
    assert post(api, user, priority=4, channels=["email"]).status_code == 202


def test_a_batch_is_refused_as_a_whole(api, user, settings):
    settings.BULK_HIGH_WATER = 1
    items = [{"user_id": str(user.pk), "template_code": "hello", "variables": {"name": "Ada"}}] * 3
    assert (
        api.post("/api/v1/notifications/batch/", {"notifications": items}, format="json").status_code == 202
    )
    before = Notification.objects.count()
    refused = api.post("/api/v1/notifications/batch/", {"notifications": items}, format="json")
    assert (refused.status_code, refused["Retry-After"]) == (503, "30")
    assert Notification.objects.count() == before


BATCH = "/api/v1/notifications/batch/"


def bulk(client, count, **fields):
    item = {"recipient": {"email": "ada@example.com"}, "template_code": "hello", "variables": {"name": "Ada"}}
    items = [{**item, "channels": ["email"], **fields}] * count
    return client.post(BATCH, {"notifications": items}, format="json")


@pytest.fixture
def other():
    organization = OrganizationFactory(slug="other")
    template_with(organization)
    return client_for(organization)


def test_what_is_due_next_year_delays_nothing(api, settings):
    settings.BULK_HIGH_WATER = 3
    later = (timezone.now() + timedelta(days=300)).isoformat()
    assert bulk(api, 5, scheduled_at=later).status_code == 202
    assert bulk(api, 2).status_code == 202


def test_one_organizations_flood_does_not_close_the_lanes_to_another(api, other, settings):
    settings.BULK_HIGH_WATER = 4
    assert bulk(api, 6).status_code == 202
    assert bulk(api, 1).status_code == 503
    # Its equal part is two of the four.
    assert bulk(other, 1).status_code == 202
    assert bulk(other, 1).status_code == 202
    assert bulk(other, 1).status_code == 503
    EmailLog.objects.filter(organization__slug="acme").update(status="sent")
    assert bulk(other, 1).status_code == 202


def test_schedules_have_a_quota(api, other, settings):
    settings.QUOTA_SCHEDULED = 2
    later = (timezone.now() + timedelta(days=1)).isoformat()
    assert bulk(api, 2, scheduled_at=later).json()["data"]["accepted"] == 2
    (result,) = bulk(api, 1, scheduled_at=later).json()["data"]["results"]
    assert (result["error"], "QUOTA_SCHEDULED" in result["message"]) == ("quota_reached", True)
    assert bulk(api, 1).json()["data"]["accepted"] == 1
    assert bulk(other, 1, scheduled_at=later).json()["data"]["accepted"] == 1
