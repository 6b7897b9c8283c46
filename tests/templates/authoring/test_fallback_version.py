"""A fallback version is used where the active one can't be rendered, and the timeline has an entry for it."""

import pytest

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import Event
from tests.conftest import post, settled, timeline, wait_until
from tests.support.factories import EMAIL_EN, PUSH_EN, template_with
from tests.support.routes import refused, stored
from tests.support.smtp_server import ScriptedSmtpServer

URL = "/api/v1/templates/hello/"
FRAGILE = {**EMAIL_EN, "subject": "{{ 100 | divided_by: n }}"}
BROKEN = {**EMAIL_EN, "text": "{{ name | divided_by: n }}"}


@pytest.fixture
def fragile(api, organization):
    """Version 1 says Hello; version 2, active, needs an `n` that isn't 0."""
    version = template_with(organization)
    body = {"contents": [FRAGILE, {**PUSH_EN, "title": "{{ 100 | divided_by: n }}"}], "activate": True}
    assert api.post(f"{URL}versions/", body).status_code == 201
    return version


def fall_back_to(api, number):
    answer = api.patch(URL, {"fallback_version": number})
    assert (answer.status_code, answer.json()["data"]["fallback_version"]) == (200, number)


def send(api, user, n=0, **fields):
    return post(api, user, variables={"name": "Ada", "n": n}, channels=["email"], **fields)


def test_a_fallback_is_set_shown_and_taken_away(api, fragile):
    assert api.get(URL).json()["data"]["fallback_version"] is None
    for number in (1, 2, None):
        fall_back_to(api, number)
        assert api.get(URL).json()["data"]["fallback_version"] == number


@pytest.mark.parametrize("number", [0, 3, -1, "1", 1.5, True, [], 2**31])
def test_a_fallback_that_does_not_exist_is_refused(number, api, organization, fragile):
    template_with(organization, code="bye")
    before = stored()
    (entry,) = refused(api.patch(URL, {"fallback_version": number}), 400, "validation_error")["errors"]
    assert entry["field"] == "fallback_version"
    body = {"code": "new", "name": "New", "contents": [EMAIL_EN], "fallback_version": 1}
    (entry,) = refused(api.post("/api/v1/templates/", body), 400)["errors"]
    assert entry["field"] == "fallback_version"
    assert stored() == before


def test_without_a_fallback_it_is_refused_on_acceptance(api, user, fragile):
    (entry,) = refused(send(api, user), 400)["errors"]
    assert (entry["field"], entry["code"]) == ("variables", "render_failed")
    fall_back_to(api, 2)
    refused(send(api, user), 400)
    assert not EmailLog.objects.exists()


def test_a_fallback_that_cant_be_rendered_either_is_no_help(api, user, fragile):
    api.post(f"{URL}versions/", {"contents": [BROKEN]})
    fall_back_to(api, 3)
    refused(send(api, user), 400)
    # Nor one without content for the channel.
    api.post(f"{URL}versions/", {"contents": [PUSH_EN]})
    fall_back_to(api, 4)
    refused(send(api, user), 400)


def test_with_a_fallback_it_is_accepted_and_the_decision_says_so(api, user, fragile, unpublished):
    fall_back_to(api, 1)
    body = {"user_id": str(user.pk), "template_code": "hello", "variables": {"name": "Ada", "n": 0}}
    dry = api.post("/api/v1/notifications/?dry_run=true", body).json()["data"]
    assert [entry["fallback"] for entry in dry["decisions"]] == [True, True]
    assert dry["rendered"]["email"]["subject"] == "Hello Ada"

    answer = send(api, user)

    assert (answer.status_code, answer.json()["data"]["template"]["version"]) == (202, 2)
    (decision,) = Event.objects.get().data["decisions"]
    assert decision["fallback"] is True
    assert send(api, user, n=4).status_code == 202
    (decision,) = Event.objects.order_by("id").last().data["decisions"]
    assert "fallback" not in decision


@pytest.mark.usefixtures("worker")
def test_the_fallback_is_sent_and_the_timeline_says_why(api, user, fragile, smtp: ScriptedSmtpServer):
    fall_back_to(api, 1)

    notification = send(api, user).json()["data"]["id"]

    settled("sent")
    (message,) = smtp.messages
    assert b"Subject: Hello Ada" in message.data
    assert timeline(notification) == [("accepted", ""), ("fallback", "render_failed"), ("sent", "")]
    event = Event.objects.get(kind="fallback")
    assert (event.data["version"], event.data["attempt"]) == (1, 1)
    assert event.data["detail"].startswith("subject: ")


@pytest.mark.usefixtures("worker")
def test_a_version_that_can_be_rendered_needs_no_fallback(api, user, fragile, smtp: ScriptedSmtpServer):
    fall_back_to(api, 1)
    notification = send(api, user, n=4).json()["data"]["id"]
    settled("sent")
    assert timeline(notification) == [("accepted", ""), ("sent", "")]


@pytest.mark.usefixtures("worker")
def test_each_attempt_tells_of_its_fallback_once(api, user, fragile, smtp: ScriptedSmtpServer, time_passes):
    fall_back_to(api, 1)
    # Put off, which is no attempt; tried; tried again.
    smtp.scripts["greeting"] = ["421 4.3.2 away", "220 test.invalid ESMTP"]
    smtp.scripts["rcpt"] = ["450 4.2.1 try later", "250 2.1.5 ok"]
    notification = send(api, user).json()["data"]["id"]
    for kind in ("deferred", "retry"):
        wait_until(lambda kind=kind: kind in [name for name, _ in timeline(notification)])
        settled("queued")
        time_passes()
    settled("sent")

    kinds = [kind for kind, _ in timeline(notification)]
    assert kinds == ["accepted", "fallback", "deferred", "retry", "fallback", "sent"]
    assert [event.data["attempt"] for event in Event.objects.filter(kind="fallback").order_by("id")] == [1, 2]


@pytest.mark.usefixtures("worker")
def test_where_the_fallback_fails_too_it_ends_there(api, user, fragile, smtp, unpublished, time_passes):
    fall_back_to(api, 1)
    notification = send(api, user).json()["data"]["id"]
    fall_back_to(api, None)

    time_passes()

    (row,) = settled("failed")
    assert (row.reason, row.error_detail[:8]) == ("render_failed", "subject:")
    assert timeline(notification) == [("accepted", ""), ("failed", "render_failed")]
    assert smtp.messages == []


@pytest.mark.usefixtures("worker")
def test_a_fallback_has_defaults_of_its_own(api, user, fragile, smtp: ScriptedSmtpServer):
    content = {**EMAIL_EN, "subject": "{{ greeting }} {{ name }}"}
    declared = [{"name": "greeting", "type": "string", "default": "Dear"}]
    api.post(f"{URL}versions/", {"contents": [content], "variables": declared})
    fall_back_to(api, 3)
    assert send(api, user).status_code == 202
    settled("sent")
    assert b"Subject: Dear Ada" in smtp.messages[0].data
