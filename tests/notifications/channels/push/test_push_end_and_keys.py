"""A push's reserved keys, its expiry, and what a second attempt shares with the first; through the API."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.notifications.channels.push.log import PushLog
from apps.templates.models import Template, TemplateContent
from notifier.local import fcm_answers as answers
from tests.conftest import post, settled, wait_until
from tests.support.factories import PUSH_EN, template_with
from tests.support.routes import refused

RESERVED = [
    "from", "message_type", "google.x", "google.", "google.c.a.e", "gcm.x", "gcm.", "gcm.notification.title",
    "gcm.n.e", "collapse_key",
]  # fmt: skip


def content(**data: str) -> list[dict[str, Any]]:
    return [{**PUSH_EN, "data": data}]


@pytest.mark.parametrize("key", RESERVED)
def test_a_reserved_key_is_refused_on_save(key, api, organization):
    body = {"code": "p", "name": "p", "contents": content(**{"order": "1", key: "shop"})}
    answer_body = refused(api.post("/api/v1/templates/", body, format="json"), 400)
    assert [entry["field"] for entry in answer_body["errors"]] == [f"contents[0].data.{key}"]
    assert repr(key) in answer_body["errors"][0]["detail"]
    template_with(organization, PUSH_EN, code="q")
    version = {"contents": content(**{key: "shop"})}
    refused(api.post("/api/v1/templates/q/versions/", version, format="json"), 400)


@pytest.mark.parametrize(
    "key", ["From", "fromage", "google", "gcm", "googly", "my.google.x", "notification", "type", "to", "ttl"]
)
@pytest.mark.usefixtures("worker")
def test_others_are_saved_and_taken(key, api, user, fcm):
    body = {"code": "hello", "name": "p", "contents": content(**{key: "shop"})}
    assert api.post("/api/v1/templates/", body, format="json").status_code == 201
    post(api, user, channels=["push"])
    settled("sent")
    assert fcm.messages[0]["data"][key] == "shop"


@pytest.fixture
def old_version(organization):
    """A version that was saved before such keys were refused."""
    version = template_with(organization, PUSH_EN)
    TemplateContent.objects.filter(version=version).update(parts={"title": "T", "data": {"from": "shop"}})
    return version


def test_what_was_saved_before_is_a_400_that_names_the_key(old_version, api, user):
    answer_body = refused(post(api, user, channels=["push"]), 400)
    assert "'from'" in str(answer_body)


@pytest.mark.usefixtures("worker", "unpublished")
def test_what_was_accepted_before_fails_for_good_and_says_why(api, organization, user, fcm, time_passes):
    version = template_with(organization, PUSH_EN)
    post(api, user, channels=["push"])
    TemplateContent.objects.filter(version=version).update(parts={"title": "T", "data": {"google.x": "shop"}})
    time_passes()
    (row,) = settled("failed")
    assert row.error_code == "render_failed"
    assert "'google.x'" in row.error_detail
    assert fcm.messages == []


@pytest.mark.usefixtures("worker", "version")
def test_a_push_ends_when_its_notification_does(api, user, fcm):
    ends = timezone.now() + timedelta(minutes=10)
    post(api, user, channels=["push"], expires_at=ends.isoformat())
    settled("sent")
    (sent,) = fcm.messages
    assert 500 < int(sent["android"]["ttl"].removesuffix("s")) <= 600
    assert 500 < int(sent["webpush"]["headers"]["TTL"]) <= 600
    assert int(sent["apns"]["headers"]["apns-expiration"]) == int(ends.timestamp())


@pytest.mark.usefixtures("worker", "version")
def test_without_an_expiry_none_is_sent(api, user, fcm):
    post(api, user, channels=["push"])
    settled("sent")
    assert not fcm.messages[0].keys() & {"android", "apns", "webpush"}


@pytest.mark.usefixtures("worker", "version")
def test_a_second_try_after_a_doubt_is_known_by_its_notification(api, user, fcm, time_passes, monkeypatch):
    Template.objects.update(on_unknown="resend")
    checked_bodies, checked = [], answers.checked
    monkeypatch.setattr(
        answers, "checked", lambda body: checked_bodies.append(json.loads(body)) or checked(body)
    )
    # The connection breaks once the server has the message.
    fcm.script("ada-phone-token-0001", "cut")
    answer = post(api, user, channels=["push"])
    wait_until(lambda: PushLog.objects.get().resends == 1)
    time_passes()
    settled("sent")
    assert len(checked_bodies) == 2
    assert {one["message"]["data"]["notification_id"] for one in checked_bodies} == {
        answer.json()["data"]["id"]
    }
    assert "collapse" not in str(checked_bodies)
