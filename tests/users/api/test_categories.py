"""Categories, and what people choose about them."""

import pytest
from django.db import IntegrityError, transaction

from apps.templates.models import Template
from apps.users.models import AuditEntry, Category, NotificationPreference
from tests.conftest import client_for, deliveries, post, timeline
from tests.support.factories import OrganizationFactory, TemplateFactory, UserFactory, template_with
from tests.support.routes import refused, stored

URL = "/api/v1/categories/"


@pytest.fixture
def news(organization):
    return Category.objects.create(organization=organization, code="news", name="News")


@pytest.fixture
def security(organization):
    return Category.objects.create(
        organization=organization, code="security", name="Security", mandatory=True
    )


@pytest.fixture
def preferences(user):
    return f"/api/v1/users/{user.pk}/preferences/"


class TestCategories:
    def test_one_is_added_read_changed_and_deleted(self, api):
        answer = api.post(URL, {"code": "news", "name": "News"})

        assert answer.status_code == 201
        shown = answer.json()["data"]
        assert set(shown) == {
            "id",
            "code",
            "name",
            "mandatory",
            "cap",
            "cap_window",
            "created_at",
            "updated_at",
        }
        assert (shown["code"], shown["name"], shown["mandatory"]) == ("news", "News", False)
        assert api.get(f"{URL}news/").json()["data"] == shown
        assert api.get(URL).json()["data"] == [shown]
        changed = api.patch(f"{URL}news/", {"name": "The news", "mandatory": True}).json()["data"]
        assert (changed["name"], changed["mandatory"]) == ("The news", True)
        assert api.patch(f"{URL}news/", changed).status_code == 200
        assert api.delete(f"{URL}news/").status_code == 204
        refused(api.get(f"{URL}news/"), 404)

    def test_a_code_is_one_categorys_and_stays(self, api, news):
        assert refused(api.post(URL, {"code": "news", "name": "x"}), 400)["errors"][0]["code"] == "unique"
        answer = api.patch(f"{URL}news/", {"code": "olds"})
        assert refused(answer, 400)["errors"][0]["code"] == "immutable"
        with pytest.raises(IntegrityError), transaction.atomic():
            Category.objects.create(organization=news.organization, code="news", name="x")

    def test_one_that_somebody_chose_about_is_deleted_with_that(self, api, news, user):
        api.patch(f"/api/v1/users/{user.pk}/preferences/", {"categories": {"news": {"email": False}}})
        assert NotificationPreference.objects.count() == 1

        assert api.delete(f"{URL}news/").status_code == 204

        assert not NotificationPreference.objects.exists()
        recorded = AuditEntry.objects.filter(action="deleted").values_list("kind", flat=True)
        assert sorted(recorded) == ["users.category", "users.notificationpreference"]

    def test_one_in_use_stays(self, api, news):
        TemplateFactory(organization=news.organization, category=news)

        refused(api.delete(f"{URL}news/"), 409, "category_in_use")

        assert Category.objects.exists()

    def test_each_organization_has_its_own(self, news):
        other = client_for(OrganizationFactory(slug="other"))

        assert other.get(URL).json()["data"] == []
        refused(other.get(f"{URL}news/"), 404)
        assert other.post(URL, {"code": "news", "name": "Theirs"}).status_code == 201
        assert Category.objects.count() == 2


class TestPreferences:
    def test_are_shown_by_category(self, api, preferences, news, security):
        assert api.get(preferences).json()["data"] == {
            "email": True,
            "push": True,
            "sms": True,
            "categories": {
                "news": {"email": True, "push": True, "sms": True, "mandatory": False},
                "security": {"email": True, "push": True, "sms": True, "mandatory": True},
            },
        }

    def test_a_categorys_own_wins_over_the_general_one(self, api, user, preferences, news, security):
        api.patch(preferences, {"categories": {"news": {"email": False}}})
        shown = api.patch(preferences, {"push": False}).json()["data"]

        assert shown == {
            "email": True,
            "push": False,
            "sms": True,
            "categories": {
                "news": {"email": False, "push": False, "sms": True, "mandatory": False},
                "security": {"email": True, "push": True, "sms": True, "mandatory": True},
            },
        }
        shown = api.patch(preferences, {"categories": {"news": {"email": None, "push": True}}}).json()["data"]
        assert shown["categories"]["news"] == {"email": True, "push": True, "sms": True, "mandatory": False}
        # What was read can be sent back.
        assert api.patch(preferences, shown).json()["data"] == shown
        assert api.get(preferences).json()["data"] == shown

    def test_an_unknown_category_is_named(self, api, preferences, news):
        Category.objects.create(organization=OrganizationFactory(), code="theirs", name="x")
        before = stored()
        for code in ("nothing", "theirs"):
            answer = api.patch(preferences, {"email": False, "categories": {code: {"email": False}}})
            (entry,) = refused(answer, 400, "validation_error")["errors"]
            assert (entry["field"], entry["code"]) == (f"categories.{code}", "not_found")
        assert stored() == before

    def test_nobody_opts_out_of_what_is_mandatory(self, api, preferences, security):
        before = stored()

        answer = api.patch(preferences, {"categories": {"security": {"email": False, "push": True}}})

        (entry,) = refused(answer, 400, "validation_error")["errors"]
        assert (entry["field"], entry["code"]) == ("categories.security.email", "mandatory")
        assert stored() == before

    @pytest.mark.parametrize(
        ("categories", "field"),
        [
            ([], "categories"),
            ("news", "categories"),
            ({"news": True}, "categories.news"),
            ({"news": {"email": "no"}}, "categories.news.email"),
            ({"news": {"email": 0}}, "categories.news.email"),
            ({"news": {"fax": False}}, "categories.news.fax"),
        ],
    )
    def test_are_taken_strictly(self, categories, field, api, preferences, news):
        before = stored()

        answer = api.patch(preferences, {"categories": categories})

        assert [entry["field"] for entry in refused(answer, 400)["errors"]] == [field]
        assert stored() == before

    def test_one_row_says_it(self, user, news):
        for category in (None, news):
            NotificationPreference.objects.create(user=user, channel="email", category=category)
            with pytest.raises(IntegrityError), transaction.atomic():
                NotificationPreference.objects.create(user=user, channel="email", category=category)

    def test_of_others_stay(self, api, user, preferences, news):
        other = UserFactory(organization=user.organization)
        NotificationPreference.objects.create(user=other, channel="email", category=news, enabled=False)

        api.patch(preferences, {"categories": {"news": {"email": True}}})

        assert not other.preferences.get().enabled


CASES = [
    # (general email, news email, category) → is it sent?
    (None, None, "news", True),
    (False, None, "news", False),
    (None, False, "news", False),
    (False, True, "news", True),
    (True, False, "news", False),
    (None, False, None, True),
    (False, True, None, False),
    (False, None, "security", True),
]


@pytest.mark.usefixtures("unpublished")
class TestPolicy:
    @pytest.mark.parametrize(("general", "own", "category", "sent"), CASES)
    def test_on_acceptance(self, general, own, category, sent, api, user, version, news, security):
        self.choose(user, general, own, news, category)

        row = post(api, user, channels=["email"]).json()["data"]["deliveries"][0]

        assert (row["status"], row["reason"]) == (("queued", "") if sent else ("skipped", "opted_out"))

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize(("general", "own", "category", "sent"), CASES)
    def test_before_the_send(self, general, own, category, sent, api, user, version, news, security, smtp):
        from apps.notifications.delivery.sender import deliver

        identity = post(api, user, channels=["email"]).json()["data"]["id"]
        self.choose(user, general, own, news, category)

        deliver("email", [str(deliveries()[0].pk)])

        (row,) = deliveries()
        assert (row.status, row.reason) == (("sent", "") if sent else ("skipped", "opted_out"))
        assert ("skipped", "opted_out") in [(kind, row.reason) for kind, _ in timeline(identity)] or sent

    def test_a_batch_asks_once(self, api, user, news, django_assert_max_num_queries):
        for number in range(5):
            template_with(user.organization, code=f"t{number}", category=news if number % 2 else None)
        NotificationPreference.objects.create(user=user, channel="email", category=news, enabled=False)
        items = [
            {"user_id": str(user.pk), "template_code": f"t{number % 5}", "channels": ["email"],
             "variables": {"name": "Ada"}}
            for number in range(50)
        ]  # fmt: skip

        with django_assert_max_num_queries(40):
            answer = api.post("/api/v1/notifications/batch/", {"notifications": items})

        assert answer.status_code == 202
        statuses = [(row.notification.template_version.template.code, row.status) for row in deliveries()]
        assert {status for code, status in statuses if code in ("t1", "t3")} == {"skipped"}
        assert {status for code, status in statuses if code not in ("t1", "t3")} == {"queued"}

    @staticmethod
    def choose(user, general, own, news, category):
        Template.objects.update(category=category and Category.objects.get(code=category))
        for about, enabled in ((None, general), (news, own)):
            if enabled is not None:
                NotificationPreference.objects.create(
                    user=user, channel="email", category=about, enabled=enabled
                )
