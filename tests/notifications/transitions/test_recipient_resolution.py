"""A bare address or device token that belongs to a person is resolved to them: their preferences hold."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models.functions import Now

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.notifications.models import Notification
from apps.users.models import Category, NotificationPreference, User
from tests.conftest import deliver, post
from tests.support.factories import EMAIL_EN, UserFactory, template_with

HOUR = timedelta(hours=1)
SPELLINGS = ["ada@example.com", "Ada@Example.COM", '"ada"@example.com', "ada@EXAMPLE.com"]


@pytest.fixture
def category(organization):
    return Category.objects.create(
        organization=organization, code="news", name="News", cap=2, cap_window=3600
    )


@pytest.fixture
def version(organization, category):
    return template_with(organization, category=category)


def to(address, **fields):
    return {"recipient": {"email": address}, "channels": ["email"], **fields}


def refuse(user, category, channel="email"):
    NotificationPreference.objects.create(user=user, category=category, channel=channel, enabled=False)


def first(answer):
    assert answer.status_code == 202, answer.content
    return answer.json()["data"]["deliveries"][0]


@pytest.mark.usefixtures("version", "unpublished")
class TestAcceptance:
    @pytest.mark.parametrize("address", SPELLINGS)
    def test_a_refused_category_is_refused(self, address, api, user, category):
        refuse(user, category)
        shown = first(post(api, **to(address)))
        assert (shown["status"], shown["reason"]) == ("skipped", "opted_out")
        assert Notification.objects.get().user == user

    def test_a_refused_channel_is_refused(self, api, user):
        refuse(user, None)
        assert first(post(api, **to("ada@example.com")))["reason"] == "opted_out"

    def test_an_inactive_person_gets_nothing(self, api, user):
        User.objects.filter(pk=user.pk).update(is_active=False)
        assert first(post(api, **to("ada@example.com")))["reason"] == "user_inactive"

    def test_their_quiet_hours_are_kept(self, api, user):
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        user.quiet_from, user.quiet_until = (now - HOUR).time(), (now + HOUR).time()
        user.save()
        first(post(api, **to("ada@example.com")))
        assert EmailLog.objects.get().due_at == now + HOUR

    def test_their_language_is_theirs_unless_another_is_asked_for(self, api, user, organization):
        template_with(organization, EMAIL_EN, {**EMAIL_EN, "language": "de"}, code="both")
        user.language = "de"
        user.save()
        for extra, language in (({}, "de"), ({"language": "en"}, "en")):
            post(api, **to("ada@example.com", template_code="both", **extra))
            assert EmailLog.objects.latest("id").language == language

    def test_their_cap_counts_both_ways(self, api, user):
        for wanted in ({"user_id": str(user.pk), "channels": ["email"]}, to("ADA@example.com")):
            assert first(post(api, **wanted))["status"] == "queued"
        assert first(post(api, **to("ada@example.com")))["reason"] == "cap"

    def test_it_goes_to_the_address_alone(self, api, user):
        answer = post(api, recipient={"email": "ada@example.com"})
        shown = {row["channel"]: row for row in answer.json()["data"]["deliveries"]}
        assert shown["email"]["status"] == "queued"
        # No device was named, so the person's devices get nothing.
        assert shown["push"]["reason"] == "no_contact"

    def test_a_device_s_token_is_its_owner_s(self, api, user, category):
        refuse(user, category, channel="push")
        wanted = {"recipient": {"device_token": "ada-phone-token-0001"}, "channels": ["push"]}
        assert first(post(api, **wanted))["reason"] == "opted_out"
        assert (
            first(post(api, recipient={"device_token": "unregistered-token"}, channels=["push"]))["status"]
            == "queued"
        )

    def test_an_address_and_a_device_of_two_people_are_each_its_owner_s(self, api, user, category):
        bob = UserFactory(organization=user.organization, email="bob@example.com")
        refuse(user, category, channel="push")
        refuse(bob, category)
        wanted = {"email": "bob@example.com", "device_token": "ada-phone-token-0001"}
        rows = post(api, recipient=wanted).json()["data"]["deliveries"]
        assert [row["reason"] for row in rows] == ["opted_out", "opted_out"]
        wanted["email"] = "stranger@example.com"
        rows = post(api, recipient=wanted).json()["data"]["deliveries"]
        assert [row["reason"] for row in rows] == ["", "opted_out"]

    def test_characters_that_case_folding_disagrees_about(self, api, user, category):
        user.email = "\u0130da@example.com"
        user.save()
        refuse(user, category)
        assert first(post(api, **to("\u0130da@example.com")))["reason"] == "opted_out"

    def test_other_people_are_not_resolved(self, api, user, category):
        refuse(user, category)
        UserFactory(email="grace@example.com")
        for address in ("bda@example.com", "grace@example.com", "ada@example.org", "ada+x@example.com"):
            assert first(post(api, **to(address)))["status"] == "queued"
        assert not Notification.objects.exclude(user=None).exists()

    def test_an_erased_person_is_not_found(self, api, user, category):
        refuse(user, category)
        User.objects.filter(pk=user.pk).update(erased_at=Now())
        assert first(post(api, **to("ada@example.com")))["status"] == "queued"

    def test_a_batch_knows_each(self, api, user, category):
        refuse(user, category)
        items = [
            {**to(address), "template_code": "hello", "variables": {"name": "x"}}
            for address in ("ada@example.com", "bob@example.com")
        ]
        answer = api.post("/api/v1/notifications/batch/", {"notifications": items})
        assert answer.json()["data"]["accepted"] == 2
        assert [row.reason for row in EmailLog.objects.order_by("id")] == ["opted_out", ""]

    def test_a_dry_run_says_so(self, api, user, category):
        refuse(user, category)
        body = {**to("ada@example.com"), "template_code": "hello", "variables": {"name": "x"}}
        decisions = api.post("/api/v1/notifications/?dry_run=true", body).json()["data"]["decisions"]
        assert decisions[0]["reason"] == "opted_out"


@pytest.mark.usefixtures("transactional_db", "version", "unpublished")
@pytest.mark.parametrize("known", ["from the beginning", "since"])
class TestBeforeTheSend:
    """By what is so when it is sent: they may have registered, and refused, since it was accepted."""

    @pytest.fixture
    def waiting(self, known, api, user, unpublished):
        if known == "since":
            User.objects.filter(pk=user.pk).update(email="another@example.com")
        assert first(post(api, **to("ada@example.com")))["status"] == "queued"
        User.objects.filter(pk=user.pk).update(email="ada@example.com")
        return user

    def test_a_person_who_refused_meanwhile_gets_nothing(self, waiting, category, smtp):
        refuse(waiting, category)
        deliver("email", [str(EmailLog.objects.get().pk)])
        assert EmailLog.objects.get().reason == "opted_out"

    def test_a_person_who_was_deactivated_meanwhile_gets_nothing(self, waiting, smtp):
        User.objects.filter(pk=waiting.pk).update(is_active=False)
        deliver("email", [str(EmailLog.objects.get().pk)])
        assert EmailLog.objects.get().reason == "user_inactive"

    def test_a_person_who_refused_nothing_gets_it(self, waiting, smtp, settings):
        settings.PUBLIC_URL = "https://notify.example.com"
        deliver("email", [str(EmailLog.objects.get().pk)])
        assert EmailLog.objects.get().status == "sent"
        (mail,) = smtp.wait_for(1)
        assert b"List-Unsubscribe: <https://notify.example.com/preferences/" in mail.data.replace(
            b"\r\n ", b" "
        )


@pytest.mark.usefixtures("transactional_db", "version", "unpublished")
class TestNewOwner:
    """An address, or a device, that is another person's by the time of the send is that person's."""

    def test_an_address(self, api, user, category, smtp):
        assert first(post(api, **to("ada@example.com")))["status"] == "queued"
        User.objects.filter(pk=user.pk).update(email="former@example.com")
        refuse(UserFactory(organization=user.organization, email="ada@example.com"), category)
        deliver("email", [str(EmailLog.objects.get().pk)])
        assert EmailLog.objects.get().reason == "opted_out"

    def test_a_device(self, api, user, category, fcm):
        wanted = {"recipient": {"device_token": "ada-phone-token-0001"}, "channels": ["push"]}
        assert first(post(api, **wanted))["status"] == "queued"
        bob = UserFactory(organization=user.organization, email="bob@example.com")
        user.devices.all().update(user=bob)
        refuse(bob, category, channel="push")
        deliver("push", [str(PushLog.objects.get().pk)])
        assert PushLog.objects.get().reason == "opted_out"

    def test_an_address_without_an_owner_by_now(self, api, user, category, smtp):
        refuse(user, None, channel="push")
        assert first(post(api, **to("ada@example.com")))["status"] == "queued"
        User.objects.filter(pk=user.pk).update(email="former@example.com", is_active=False)
        deliver("email", [str(EmailLog.objects.get().pk)])
        assert EmailLog.objects.get().status == "sent"
