"""A category's cap: so many messages to one address or device in any so many seconds."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.notifications.models import Notification, from_now
from apps.users.models import Category, Device
from tests.conftest import client_for, deliver, post, settled
from tests.support.factories import DeviceFactory, UserFactory, template_with

SOON = timedelta(minutes=5)


@pytest.fixture
def category(organization):
    return Category.objects.create(
        organization=organization, code="news", name="News", cap=2, cap_window=3600
    )


@pytest.fixture
def version(organization, category):
    return template_with(organization, category=category)


def status_of(answer):
    assert answer.status_code == 202, answer.content
    return [row["status"] for row in answer.json()["data"]["deliveries"]]


def sent(api, user, **body):
    """The statuses of a notification by email that is accepted now, as if what came before had been sent."""
    answer = post(api, user, **{"channels": ["email"], **body})
    for model in (EmailLog, PushLog):
        model.objects.filter(status="queued").update(status="sent", sent_at=timezone.now())
    return status_of(answer)


@pytest.mark.usefixtures("version")
class TestAcceptance:
    def test_past_it_messages_are_skipped(self, api, user, db):
        assert [sent(api, user) for _ in range(4)] == [["queued"], ["queued"], ["skipped"], ["skipped"]]
        assert list(EmailLog.objects.filter(status="skipped").values_list("reason", flat=True)) == [
            "cap",
            "cap",
        ]
        # The window has moved on from the first one; what was skipped never counted.
        first = EmailLog.objects.filter(status="sent").order_by("id").first()
        EmailLog.objects.filter(pk=first.pk).update(sent_at=from_now(-3601))
        assert [sent(api, user) for _ in range(2)] == [["queued"], ["skipped"]]

    @pytest.mark.parametrize("status", ["queued", "sending", "delivered", "bounced", "unknown"])
    def test_what_is_on_its_way_or_may_have_come_counts(self, status, api, user, db):
        for _ in range(2):
            post(api, user, channels=["email"])
        EmailLog.objects.update(status=status, finished_at=timezone.now())
        assert sent(api, user) == ["skipped"]

    @pytest.mark.parametrize("status", ["failed", "cancelled", "expired"])
    def test_what_never_comes_does_not(self, status, api, user, db):
        for _ in range(2):
            post(api, user, channels=["email"])
        EmailLog.objects.update(status=status, finished_at=timezone.now())
        assert sent(api, user) == ["queued"]

    def test_what_is_scheduled_for_later_does_not(self, api, user, db):
        for _ in range(2):
            post(api, user, channels=["email"], scheduled_at=(timezone.now() + SOON).isoformat())
        assert sent(api, user) == ["queued"]

    def test_it_is_one_recipients_in_one_category_by_one_channel(self, api, user, organization, category, db):
        other = Category.objects.create(
            organization=organization, code="other", name="x", cap=2, cap_window=3600
        )
        template_with(organization, code="other", category=other)
        template_with(organization, code="none")
        test_key = client_for(organization, live=False)
        for _ in range(2):
            sent(api, user)
        assert sent(api, user) == ["skipped"]
        assert sent(api, user, channels=["push"]) == ["queued"]
        assert sent(api, UserFactory(organization=organization)) == ["queued"]
        assert sent(api, user, template_code="other") == ["queued"]
        assert sent(api, user, template_code="none") == ["queued"]
        assert sent(test_key, user) == ["queued"]
        # A request that names the address is about the same person.
        assert sent(api, None, recipient={"email": user.email.upper()}) == ["skipped"]

    def test_each_device_has_its_own(self, api, user, db):
        for _ in range(2):
            sent(api, user, channels=["push"])
        DeviceFactory(user=user)
        assert Device.objects.count() == 2
        assert sorted(sent(api, user, channels=["push"])) == ["queued", "skipped"]

    def test_what_is_mandatory_has_none(self, api, user, category, db):
        Category.objects.update(mandatory=True)
        assert [sent(api, user) for _ in range(3)] == [["queued"]] * 3

    def test_a_batch_is_counted_as_it_is_decided(self, api, user, db):
        one = {
            "user_id": str(user.pk),
            "template_code": "hello",
            "channels": ["email"],
            "variables": {"name": "A"},
        }
        answer = api.post("/api/v1/notifications/batch/", {"notifications": [one] * 5}, format="json")
        assert answer.status_code == 202
        statuses = EmailLog.objects.order_by("id").values_list("status", flat=True)
        assert sorted(statuses) == ["queued"] * 2 + ["skipped"] * 3


@pytest.mark.usefixtures("version", "worker")
class TestSending:
    def test_of_many_that_are_due_at_once_so_many_are_sent(self, api, user, smtp, time_passes):
        for _ in range(6):
            post(api, user, channels=["email"], scheduled_at=(timezone.now() + SOON).isoformat())
        time_passes()
        rows = settled("sent", "skipped")
        assert [row.status for row in rows] == ["sent"] * 2 + ["skipped"] * 4
        assert {row.reason for row in rows if row.status == "skipped"} == {"cap"}
        assert len(smtp.messages) == 2

    @pytest.mark.usefixtures("unpublished")
    def test_a_cap_that_is_set_meanwhile_counts(self, api, user, smtp, category, time_passes):
        Category.objects.update(cap=None, cap_window=None)
        for _ in range(3):
            post(api, user, channels=["email"])
        Category.objects.update(cap=1, cap_window=60)
        time_passes()
        assert sorted(row.status for row in settled("sent", "skipped")) == ["sent", "skipped", "skipped"]


class TestSetting:
    URL = "/api/v1/categories/news/"

    def test_it_is_set_shown_and_taken_back(self, api, category):
        shown = api.patch(self.URL, {"cap": 5, "cap_window": 86400}).json()["data"]
        assert (shown["cap"], shown["cap_window"]) == (5, 86400)
        shown = api.patch(self.URL, {"cap": None, "cap_window": None}).json()["data"]
        assert (shown["cap"], shown["cap_window"]) == (None, None)

    @pytest.mark.parametrize(
        ("body", "field", "code"),
        [
            ({"cap": None}, "cap", "required"),
            ({"cap_window": None}, "cap_window", "required"),
            ({"cap": 0}, "cap", "min_value"),
            ({"cap": 1001}, "cap", "max_value"),
            ({"cap_window": 59}, "cap_window", "min_value"),
            ({"cap_window": 31 * 86400 + 1}, "cap_window", "max_value"),
            ({"cap": "2"}, "cap", "invalid"),
        ],
    )
    def test_what_can_not_be_one(self, body, field, code, api, category):
        (entry,) = api.patch(self.URL, body).json()["errors"]
        assert (entry["field"], entry["code"]) == (field, code)
        category.refresh_from_db()
        assert (category.cap, category.cap_window) == (2, 3600)


@pytest.mark.usefixtures("unpublished")
def test_a_row_that_ends_beside_it_leaves_its_place_to_the_next(
    api, user, version, category, smtp, transactional_db
):
    """Both are claimed at once, and the first one has expired."""
    Category.objects.update(cap=1)
    later = (timezone.now() + SOON).isoformat()
    for _ in range(2):
        assert post(api, user, channels=["email"], scheduled_at=later).status_code == 202
    first, second = EmailLog.objects.order_by("id")
    Notification.objects.filter(pk=first.notification_id).update(expires_at=from_now(-1))
    EmailLog.objects.update(due_at=from_now(-5))
    deliver("email", [str(first.pk), str(second.pk)])
    ends = EmailLog.objects.order_by("id").values_list("status", "reason")
    assert list(ends) == [("expired", "expired"), ("sent", "")]
