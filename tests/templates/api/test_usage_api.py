"""How often each version was used, day by day."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from apps.notifications.models import Notification
from tests.conftest import client_for, post
from tests.support.factories import EMAIL_EN, OrganizationFactory, template_with
from tests.support.routes import refused

URL = "/api/v1/templates/hello/usage/"


def days_ago(days):
    return (timezone.now().astimezone(UTC) - timedelta(days=days)).date().isoformat()


@pytest.fixture
def used(api, user, version, unpublished):
    """Version 1 twice 40 days ago and once 3 days ago; version 2 once then and twice today."""
    other = OrganizationFactory()
    template_with(other)
    post(client_for(other), recipient={"email": "b@example.com"})
    template_with(user.organization, code="bye")
    post(api, user, template_code="bye")

    def send(*ages):
        for age in ages:
            pk = post(api, user).json()["data"]["id"]
            at = datetime.fromisoformat(f"{days_ago(age)}T00:00:00+00:00") if age else timezone.now()
            Notification.objects.filter(pk=pk).update(created_at=at)

    send(40, 40, 3)
    api.post("/api/v1/templates/hello/versions/", {"contents": [EMAIL_EN], "activate": True})
    send(3, 0, 0)


def usage(api, query=""):
    answer = api.get(URL + query)
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


def test_notifications_are_counted_by_version_and_day(api, used, django_assert_max_num_queries):
    recent = [
        {"day": days_ago(3), "version": 1, "notifications": 1},
        {"day": days_ago(3), "version": 2, "notifications": 1},
        {"day": days_ago(0), "version": 2, "notifications": 2},
    ]
    assert usage(api) == {"since": days_ago(29), "total": 4, "days": recent}
    # One of them says how long the count may take.
    with django_assert_max_num_queries(5):
        shown = usage(api, f"?since={days_ago(91)}")
    assert (shown["total"], shown["days"][0]) == (
        6, {"day": days_ago(40), "version": 1, "notifications": 2},
    )  # fmt: skip
    assert usage(api, f"?since={days_ago(40)}")["total"] == 6
    assert usage(api, f"?since={days_ago(39)}")["total"] == 4
    assert usage(api, f"?since={days_ago(0)}")["days"] == recent[2:]


def test_a_template_that_was_never_used(api, version):
    assert usage(api)["days"] == []
    refused(api.get("/api/v1/templates/absent/usage/"), 404, "not_found")


@pytest.mark.parametrize(
    "since", ["yesterday", "", "2026-02-30", "0001-01-01", "9999-12-31", 92, 500, -1, -2]
)
def test_a_range_that_is_too_long_is_refused(since, api, version):
    query = f"?since={days_ago(since) if isinstance(since, int) else since}"
    (entry,) = refused(api.get(URL + query), 400, "validation_error")["errors"]
    assert entry["field"] == "since"
    refused(api.get(f"{URL}?until=2026-01-01"), 400)
