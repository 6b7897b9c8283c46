"""Scheduled, expiring, cancelled and skipped notifications."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.notifications.models import Event, Suppression
from apps.notifications.models.statuses import Status
from apps.users.models import Device, NotificationPreference
from apps.users.recipient_hashes import recipient_hash
from tests.conftest import client_for, post, settled, timeline


def at(**offset):
    return (timezone.now() + timedelta(**offset)).isoformat()


def shown(api, answer):
    return api.get(answer["Location"]).json()["data"]


@pytest.mark.usefixtures("version")
class TestAcceptance:
    def test_scheduled_is_shown_and_waits(self, api, user, db):
        answer = post(api, user, channels=["email"], scheduled_at=at(hours=2))
        assert answer.json()["data"]["status"] == "scheduled"
        assert shown(api, answer)["status"] == "scheduled"
        row = EmailLog.objects.get()
        assert (row.status, row.published_at) == ("queued", None)
        assert 7000 < (row.due_at - timezone.now()).total_seconds() < 7300
        for status, found in (("scheduled", 1), ("queued", 0)):
            listed = api.get("/api/v1/notifications/", {"status": status}).json()["data"]
            assert len(listed) == found

    def test_what_is_forbidden_is_skipped_with_its_reason(self, api, user, organization, db):
        NotificationPreference.objects.create(user=user, channel="email", enabled=False)
        Device.objects.all().delete()
        rows = shown(api, post(api, user))
        assert rows["status"] == "skipped"
        assert [row["reason"] for row in rows["deliveries"]] == ["opted_out", "no_contact"]
        decisions = Event.objects.get().data["decisions"]
        assert [(entry["decision"], entry["reason"]) for entry in decisions] == [
            ("skip", "opted_out"),
            ("skip", "no_contact"),
        ]

    def test_nobody_inactive_is_sent_to(self, api, user, db):
        user.is_active = False
        user.save()
        rows = shown(api, post(api, user))["deliveries"]
        assert {row["reason"] for row in rows} == {"user_inactive"}

    def test_one_spelling_of_an_address_suppresses_all(self, api, organization, db):
        Suppression.objects.create(
            organization=organization,
            channel="email",
            recipient_hash=recipient_hash("email", "GRACE@example.com"),
            reason="by_hand",
        )
        answer = post(api, recipient={"email": "grace@Example.com"}, channels=["email"])
        assert shown(api, answer)["deliveries"][0]["reason"] == "suppressed"

    def test_every_device_gets_its_own_push(self, api, user, db):
        Device.objects.create(user=user, token="ada-tablet-token", platform="ios")
        assert post(api, user, channels=["push"]).status_code == 202
        assert set(PushLog.objects.values_list("token", flat=True)) == {
            "ada-phone-token-0001",
            "ada-tablet-token",
        }

    def test_missing_variables_are_all_named(self, api, user, db):
        answer = post(api, user, variables={"nickname": "Ada"})
        assert answer.status_code == 400
        assert [entry["field"] for entry in answer.json()["errors"]] == ["variables.name"]
        assert not EmailLog.objects.exists()

    def test_a_dry_run_stores_nothing(self, api, user, db):
        answer = api.post(
            "/api/v1/notifications/?dry_run=true",
            {"user_id": str(user.pk), "template_code": "hello", "variables": {"name": "Ada"}},
        )
        assert answer.status_code == 200
        data = answer.json()["data"]
        assert data["rendered"]["email"]["subject"] == "Hello Ada"
        assert [entry["decision"] for entry in data["decisions"]] == ["send", "send"]
        assert not EmailLog.objects.exists()
        assert not Event.objects.exists()

    def test_the_accepted_version_is_kept_when_another_is_activated(self, api, user, version, db):
        from apps.templates.authoring.versions import add_version
        from tests.support.factories import EMAIL_EN

        answer = post(api, user, channels=["email"], scheduled_at=at(hours=1))
        add_version(template=version.template, contents=[{**EMAIL_EN, "subject": "New"}], active=True)
        assert shown(api, answer)["template"]["version"] == 1

    def test_a_cancelled_one_is_over(self, api, user, db):
        answer = post(api, user, scheduled_at=at(hours=1))
        cancelled = api.post(f"{answer['Location']}cancel/")
        assert cancelled.status_code == 200
        assert cancelled.json()["data"]["status"] == "cancelled"
        assert api.post(f"{answer['Location']}cancel/").status_code == 200
        assert [kind for kind, _ in timeline(answer.json()["data"]["id"])] == [
            "accepted",
            "cancelled",
            "cancelled",
        ]

    @pytest.mark.parametrize("status", ["sending", "sent", "delivered", "bounced", "unknown"])
    def test_what_went_out_cannot_be_cancelled(self, status, api, user, db):
        answer = post(api, user)
        PushLog.objects.update(status=status)
        refused = api.post(f"{answer['Location']}cancel/")
        assert (refused.status_code, refused.json()["error"]) == (409, "not_cancellable")
        assert EmailLog.objects.get().status == Status.QUEUED

    def test_request_id_finds_and_answers(self, api, user, db):
        first = post(api, user, request_id="order:1")
        again = post(api, user, request_id="order:1")
        assert (again.status_code, again.json()["data"]["id"]) == (202, first.json()["data"]["id"])
        assert api.get("/api/v1/notifications/order:1/").json()["data"]["id"] == first.json()["data"]["id"]
        EmailLog.objects.update(status="unknown")
        refused = post(api, user, request_id="order:1")
        assert (refused.status_code, refused.json()["error"]) == (409, "already_delivered")
        assert refused.json()["data"]["deliveries"][0]["status"] == "unknown"
        assert post(api, user, request_id="order:1", priority=6).json()["error"] == "request_id_reused"

    def test_the_same_request_id_in_two_organizations_is_two_notifications(self, api, user, db):
        from tests.support.factories import OrganizationFactory, UserFactory, template_with

        other = OrganizationFactory()
        template_with(other)
        answers = [
            post(api, user, request_id="same"),
            post(client_for(other), UserFactory(organization=other), request_id="same"),
        ]
        assert [answer.status_code for answer in answers] == [202, 202]
        assert len({answer.json()["data"]["id"] for answer in answers}) == 2

    def test_low_priority_takes_the_bulk_lane(self, api, user, db):
        from apps.notifications.queue.broker import lane_of

        post(api, user, channels=["email"], priority=4)
        row = EmailLog.objects.get()
        assert lane_of(row.channel, row.priority) == "email.bulk"
        assert lane_of(row.channel, 5) == "email"


@pytest.mark.usefixtures("worker", "version")
class TestAtSending:
    def test_a_scheduled_one_is_sent_when_due(self, api, user, smtp, time_passes):
        post(api, user, channels=["email"], scheduled_at=at(hours=2))
        time_passes()
        settled("sent")
        assert len(smtp.wait_for(1)) == 1

    def test_an_expired_one_is_not_sent(self, api, user, smtp, time_passes):
        from apps.notifications.models import Notification

        answer = post(api, user, channels=["email"], scheduled_at=at(hours=1), expires_at=at(hours=2))
        Notification.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        time_passes()
        settled("expired")
        assert timeline(answer.json()["data"]["id"])[-1] == ("expired", "")
        assert not smtp.wait_for(0)

    def test_whoever_opted_out_meanwhile_is_not_told(self, api, user, smtp, time_passes):
        post(api, user, channels=["email"], scheduled_at=at(hours=1))
        NotificationPreference.objects.create(user=user, channel="email", enabled=False)
        time_passes()
        (row,) = settled("skipped")
        assert row.reason == "opted_out"
        assert not smtp.wait_for(0)

    @pytest.mark.parametrize("who", ["user", "organization"])
    def test_what_waits_for_somebody_inactive_is_not_sent(
        self, who, api, user, organization, smtp, time_passes
    ):
        post(api, user, channels=["email"], scheduled_at=at(hours=1))
        inactive = user if who == "user" else organization
        inactive.is_active = False
        inactive.save()
        time_passes()
        (row,) = settled("skipped")
        assert row.reason == f"{who}_inactive"
        assert not smtp.wait_for(0)

    def test_a_cancelled_one_is_not_sent_by_a_late_wake_up(self, api, user, smtp, time_passes):
        answer = post(api, user, channels=["email"], scheduled_at=at(hours=1))
        api.post(f"{answer['Location']}cancel/")
        time_passes()
        assert [row.status for row in EmailLog.objects.all()] == ["cancelled"]
        assert not smtp.wait_for(0)

    def test_a_test_key_never_reaches_a_real_provider(self, organization, user, smtp, fcm):
        client = client_for(organization, live=False)
        post(client, user)
        rows = settled("sent")
        assert {row.provider for row in rows} == {"sandbox"}
        assert not smtp.connections
        assert not fcm.messages

    def test_without_a_provider_it_waits_and_says_why(self, api, user, settings):
        from tests.conftest import wait_until

        settings.EMAIL_PROVIDER_URL = ""
        answer = post(api, user, channels=["email"])
        row = wait_until(lambda: EmailLog.objects.filter(error_code="provider_not_configured").first())
        assert (row.status, row.attempts) == ("queued", 0)
        assert "EMAIL_PROVIDER_URL" in api.get(f"{answer['Location']}events/").content.decode()

    def test_the_bulk_lane_is_consumed(self, api, user, smtp):
        post(api, user, channels=["email"], priority=1)
        settled("sent")
