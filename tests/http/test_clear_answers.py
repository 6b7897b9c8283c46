"""Responses that say what to do next: the right path, scheme or choice, and how many items were accepted."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from apps.notifications.models import Notification
from apps.users.access import sessions
from tests.conftest import post
from tests.notifications.acceptance.test_batches import item
from tests.support.factories import key_for
from tests.support.routes import refused, stored

SLASHLESS = [
    "users", "notifications", "notifications/batch", "notifications/order-1", "notifications/order-1/events",
    "notify", "templates", "templates/hello/versions/1", "auth/login", "admin/api-keys", "health", "health/live",
    "audit", "webhook-endpoints/replay", "email/status", "users/email/ada@example.com",
]  # fmt: skip
NOWHERE = ["nothing", "users/1", "templates/UPPER", "notifications/a b", "users/", "..", "", "nothing/"]
PAST = [
    timedelta(minutes=5, seconds=5),
    timedelta(minutes=6),
    timedelta(hours=1),
    timedelta(days=1),
    timedelta(3650),
]
NAIVE = [
    "2126-01-01T08:00:00", "2126-01-01 08:00", "2126-01-01T08:00", "2020-01-01T08:00:00", "2126-01-01T08:00:00.5",
    "2126-01-01T08:00:00,5",
]  # fmt: skip
CHOICES = [
    ("get", "notifications/?status=happy", {}, "status", ["queued", "sent", "scheduled"]),
    ("get", "notifications/?channel=fax", {}, "channel", ["email", "push"]),
    ("get", "dead-letters/?state=shut", {}, "state", ["open", "replayed", "discarded"]),
    ("get", "audit/?action=eaten", {}, "action", ["created", "changed", "deleted"]),
    ("post", "notifications/", {"channels": ["fax"]}, "channels[0]", ["email", "push"]),
    ("post", "notifications/", {"notification_type": "fax"}, "notification_type", ["email", "push"]),
    ("post", "users/", {"email": "b@example.com", "role": "king"}, "role", ["admin", "member"]),
    ("post", "suppressions/", {"channel": "fax", "recipient": "x"}, "channel", ["email", "push"]),
    ("post", "templates/", {"on_unknown": "maybe"}, "on_unknown", ["resend", "hold"]),
    ("post", "templates/layouts/", {"source_format": "md"}, "source_format", ["html", "mjml"]),
    ("post", "admin/api-keys/", {"name": "x", "scopes": ["all"]}, "scopes[0]", ["users:read", "audit:read"]),
    ("post", "email/status/", {"status": "lost"}, "status", ["sent", "delivered", "bounced"]),
    ("post", "webhook-endpoints/replay/", {"status": "none"}, "status", ["failed", "all"]),
]


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_a_missing_slash_is_answered_with_the_right_path(method, api):
    for path in SLASHLESS:
        body = refused(getattr(api, method)(f"/api/v1/{path}"), 404, "not_found")
        assert body["message"].endswith(f"Did you mean /api/v1/{path}/?"), path


def test_and_nothing_is_proposed_that_leads_nowhere(api):
    for path in NOWHERE:
        answer = api.get(f"/api/v1/{path}")
        assert "Did you mean" not in answer.json()["message"], path


def test_a_query_is_no_part_of_the_path(api):
    body = refused(api.post("/api/v1/notifications?dry_run=true", {}), 404)
    assert body["message"].endswith("Did you mean /api/v1/notifications/?")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("change", [str, lambda key: key + "x", lambda key: key.partition(".")[0], str.upper])
def test_a_key_under_the_other_scheme_gets_a_hint(scheme, change, organization):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"{scheme} {change(key_for(organization))}")
    body = refused(client.get("/api/v1/notifications/"), 401, "invalid_token")
    assert "Authorization: Api-Key" in body["message"]


def test_a_forged_token_gets_no_hint_about_keys(user):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {sessions.begin(user)['access']}x")
    assert "Api-Key" not in refused(client.get("/api/v1/auth/me/"), 401, "invalid_token")["message"]


@pytest.mark.parametrize(("method", "path", "body", "field", "choices"), CHOICES)
def test_a_bad_choice_lists_the_choices(method, path, body, field, choices, api, version):
    answer = getattr(api, method)(f"/api/v1/{path}", body or None)
    (entry,) = [entry for entry in refused(answer, 400)["errors"] if entry["field"] == field]
    assert entry["code"] == "invalid_choice"
    assert entry["detail"].startswith("Use one of: ")
    assert set(choices) <= set(entry["detail"].removeprefix("Use one of: ").rstrip(".").split(", "))


class TestTimes:
    @pytest.mark.parametrize("ago", PAST)
    def test_what_was_meant_for_the_past_is_refused(self, ago, api, user, version):
        answer = post(api, user, scheduled_at=(timezone.now() - ago).isoformat())
        (entry,) = refused(answer, 400, "validation_error")["errors"]
        assert (entry["field"], entry["code"]) == ("scheduled_at", "in_the_past")
        assert not Notification.objects.exists()

    @pytest.mark.parametrize("seconds", [0, 5, 60, 290])
    def test_a_late_clock_is_not(self, seconds, api, user, version, unpublished):
        late = (timezone.now() - timedelta(seconds=seconds)).isoformat()
        assert post(api, user, scheduled_at=late).status_code == 202

    def test_one_item_of_a_batch_spoils_no_other(self, api, version):
        items = [
            item(1),
            item(2, scheduled_at="2020-01-01T00:00:00Z"),
            item(3, scheduled_at="2020-01-01T00:00:00"),
        ]
        answer = api.post("/api/v1/notifications/batch/", {"notifications": items})
        results = answer.json()["data"]["results"]
        assert [[entry["code"] for entry in one.get("errors", ())] for one in results] == [
            [], ["in_the_past"], ["naive"],
        ]  # fmt: skip

    @pytest.mark.parametrize("again", ["key", "request_id", "batch"])
    def test_a_retry_of_what_is_due_meanwhile_is_answered_as_before(
        self, again, api, version, monkeypatch, unpublished
    ):
        soon = timezone.now() + timedelta(hours=1)
        body = item(1, scheduled_at=soon.isoformat())
        headers = {}
        if again == "request_id":
            body["request_id"] = "order-1"
        else:
            headers["Idempotency-Key"] = "order-1"
        if again == "batch":
            body = {"notifications": [body]}
        url = f"/api/v1/notifications/{'batch/' if again == 'batch' else ''}"
        first = api.post(url, body, headers=headers)
        assert first.status_code == 202
        monkeypatch.setattr(timezone, "now", lambda: soon + timedelta(hours=1))

        second = api.post(url, body, headers=headers)

        assert second.status_code == 202, second.content
        assert second.json() == first.json() or again == "request_id"
        assert Notification.objects.count() == 1

    @pytest.mark.parametrize("naive", NAIVE)
    def test_a_time_without_a_zone_is_refused_wherever_it_stands(self, naive, api, user, version):
        before = stored()
        for field in ("scheduled_at", "expires_at"):
            (entry,) = refused(post(api, user, **{field: naive}), 400)["errors"]
            assert (entry["field"], entry["code"]) == (field, "naive")
            assert "zone" in entry["detail"]
        for path in ("notifications/?created_after=", "audit/?since=", "dead-letters/?until="):
            (entry,) = refused(api.get(f"/api/v1/{path}{naive}"), 400)["errors"]
            assert entry["code"] == "naive", path
        assert stored() == before


class TestBatchMessage:
    def test_all_refused(self, api, version):
        answer = api.post("/api/v1/notifications/batch/", {"notifications": [{}] * 60})
        assert answer.status_code == 202
        assert answer.json()["message"] == "None of 60 taken, 60 refused: `results` says why."

    def test_all_taken(self, api, version):
        answer = api.post("/api/v1/notifications/batch/", {"notifications": [item(1), item(2)]})
        assert answer.json()["message"] == "All 2 taken."

    @pytest.mark.parametrize(("good", "bad"), [(1, 1), (3, 1), (1, 7), (20, 40)])
    def test_some(self, good, bad, api, version):
        answer = api.post("/api/v1/notifications/batch/", {"notifications": [item(1)] * good + [{}] * bad})
        assert answer.json()["message"] == f"{good} of {good + bad} taken, {bad} refused: `results` says why."

    def test_a_replayed_answer_says_the_same(self, api, version):
        body, headers = {"notifications": [item(1), {}]}, {"Idempotency-Key": "b-1"}
        first, second = (api.post("/api/v1/notifications/batch/", body, headers=headers) for _ in range(2))
        assert second["Idempotent-Replayed"] == "true"
        assert first.json() == second.json()
        assert first.json()["message"].startswith("1 of 2 taken")
