"""Past the high-water mark bulk is told to wait, and a password reset is not."""

import pytest

from apps.notifications import backpressure
from apps.notifications.models import EmailLog, Notification
from tests.conftest import post

pytestmark = pytest.mark.usefixtures("version", "unpublished")


@pytest.fixture(autouse=True)
def looked_at_every_time(monkeypatch):
    monkeypatch.setattr(backpressure, "LOOK_EVERY", 0.0)
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
