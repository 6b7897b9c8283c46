"""Messages wait for the end of a person's quiet hours, without using an attempt."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import Event
from apps.users.models import Category, User
from tests.conftest import client_for, post, settled, timeline, wait_until
from tests.support.factories import template_with

HOUR = timedelta(hours=1)


@pytest.fixture
def category(organization):
    return Category.objects.create(organization=organization, code="news", name="News")


@pytest.fixture
def version(organization, category):
    return template_with(organization, category=category)


def quiet(user, *, before=-HOUR, after=2 * HOUR):
    """Gives the person quiet hours around now; when (UTC) they end."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    user.quiet_from, user.quiet_until = ((now + shift).time() for shift in (before, after))
    user.save()
    return now + after


def loud(user):
    User.objects.filter(pk=user.pk).update(quiet_from=None, quiet_until=None)


@pytest.mark.usefixtures("version")
class TestAcceptance:
    def test_it_waits_for_their_end(self, api, user, db):
        ends = quiet(user)
        answer = post(api, user, channels=["email"])

        assert answer.status_code == 202
        row = EmailLog.objects.get()
        assert (row.status, row.attempts, row.due_at, row.published_at) == ("queued", 0, ends, None)
        # A whole day to be tried in is left then.
        assert row.deadline_at - ends > timedelta(hours=23, minutes=59)
        notification = answer.json()["data"]["id"]
        assert timeline(notification) == [("accepted", ""), ("deferred", "quiet_hours")]
        accepted, deferred = Event.objects.order_by("id")
        assert accepted.data["decisions"][0]["decision"] == "defer"
        assert accepted.data["decisions"][0]["reason"] == "quiet_hours"
        assert deferred.data["until"] == accepted.data["decisions"][0]["until"] == ends.isoformat()

    def test_by_the_clock_of_their_own_zone(self, api, user, db):
        ends = quiet(user)
        user.timezone = "Asia/Kathmandu"
        user.save()
        assert post(api, user, channels=["email"]).status_code == 202
        # 5:45 ahead: there these hours are over.
        assert EmailLog.objects.get().due_at < ends - HOUR

    def test_a_dry_run_says_so(self, api, user, db):
        ends = quiet(user)
        body = {"user_id": str(user.pk), "template_code": "hello", "variables": {"name": "Ada"}}
        answer = api.post("/api/v1/notifications/?dry_run=true", body)
        decision = answer.json()["data"]["decisions"][0]
        assert (decision["decision"], decision["reason"]) == ("defer", "quiet_hours")
        assert datetime.fromisoformat(decision["until"]) == ends

    def test_what_expires_before_is_not_sent(self, api, user, db):
        ends = quiet(user)
        answer = post(api, user, channels=["email"], expires_at=ends.isoformat())
        shown = answer.json()["data"]["deliveries"][0]
        assert shown["status"] == "expired"
        assert EmailLog.objects.get().reason == "quiet_hours"

    def test_mandatory_mail_and_people_without_quiet_hours_are_not_delayed(self, api, user, category, db):
        quiet(user)
        answer = post(api, recipient={"email": "grace@example.com"}, channels=["email"])
        assert answer.json()["data"]["status"] == "queued"
        Category.objects.update(mandatory=True)
        answer = post(api, user, channels=["email"])
        assert answer.json()["data"]["status"] == "queued"
        assert not Event.objects.filter(kind="deferred").exists()


@pytest.mark.usefixtures("version", "worker")
class TestSending:
    def test_it_is_sent_when_they_are_over(self, api, user, smtp, time_passes):
        quiet(user)
        answer = post(api, user, channels=["email"])
        loud(user)
        time_passes()
        (row,) = settled("sent")
        assert row.attempts == 1
        assert [kind for kind, _ in timeline(answer.json()["data"]["id"])] == ["accepted", "deferred", "sent"]

    @pytest.mark.usefixtures("unpublished")
    def test_hours_that_have_begun_meanwhile_count(self, api, user, smtp, time_passes):
        answer = post(api, user, channels=["email"])
        before = EmailLog.objects.get()
        ends = quiet(user)
        time_passes()
        wait_until(lambda: EmailLog.objects.filter(status="queued", due_at=ends).exists())
        row = EmailLog.objects.get()
        assert (row.attempts, row.lease_until, row.published_at) == (0, None, None)
        assert row.deadline_at > before.deadline_at + HOUR
        assert timeline(answer.json()["data"]["id"])[1:] == [("deferred", "quiet_hours")]
        loud(user)
        time_passes()
        settled("sent")
        assert len(smtp.messages) == 1

    def test_a_scheduled_one_is_decided_when_due(self, api, user, smtp, time_passes):
        ends = quiet(user)
        later = (ends + HOUR).isoformat()
        answer = post(api, user, channels=["email"], scheduled_at=later)
        assert timeline(answer.json()["data"]["id"]) == [("accepted", "")]
        time_passes()
        wait_until(lambda: EmailLog.objects.filter(status="queued", due_at=ends).exists())
        assert smtp.messages == []

    @pytest.mark.usefixtures("unpublished")
    def test_what_expires_before_their_end_expires_at_once(self, api, user, smtp, time_passes):
        expires = datetime.now(UTC) + HOUR
        post(api, user, channels=["email"], expires_at=expires.isoformat())
        quiet(user)
        time_passes()
        (row,) = settled("expired")
        assert row.reason == "quiet_hours"
        assert smtp.messages == []


class TestSetting:
    def url(self, user):
        return f"/api/v1/users/{user.pk}/"

    def test_they_are_set_shown_and_taken_back(self, api, user):
        assert api.get(self.url(user)).json()["data"]["quiet_from"] is None
        shown = api.patch(self.url(user), {"quiet_from": "22:00", "quiet_until": "07:30"}).json()["data"]
        assert (shown["quiet_from"], shown["quiet_until"]) == ("22:00", "07:30")
        # The other one stays, and what was read can be sent back.
        assert api.patch(self.url(user), {"quiet_until": "08:00"}).json()["data"]["quiet_from"] == "22:00"
        assert api.patch(self.url(user), shown).json()["data"] == shown
        cleared = api.patch(self.url(user), {"quiet_from": None, "quiet_until": None}).json()["data"]
        assert (cleared["quiet_from"], cleared["quiet_until"]) == (None, None)

    @pytest.mark.parametrize(
        ("body", "field", "code"),
        [
            ({"quiet_from": "22:00"}, "quiet_until", "required"),
            ({"quiet_until": "22:00"}, "quiet_from", "required"),
            ({"quiet_from": "22:00", "quiet_until": "22:00"}, "quiet_until", "invalid"),
            ({"quiet_from": "25:00", "quiet_until": "07:00"}, "quiet_from", "invalid"),
            ({"quiet_from": 22, "quiet_until": "07:00"}, "quiet_from", "invalid"),
        ],
    )
    def test_half_of_them_are_none(self, body, field, code, api, user):
        answer = api.patch(self.url(user), body)
        assert answer.status_code == 400
        (entry,) = answer.json()["errors"]
        assert (entry["field"], entry["code"]) == (field, code)
        user.refresh_from_db()
        assert (user.quiet_from, user.quiet_until) == (None, None)

    def test_a_service_without_the_scope_may_not(self, organization, user):
        client = client_for(organization, scopes=["users:read"])
        body = {"quiet_from": "22:00", "quiet_until": "07:00"}
        assert client.patch(self.url(user), body).status_code == 403
