"""Password reset: requested, mailed like any notification, and set behind a link that works once."""

import re
from datetime import timedelta

import pytest
from django.core.cache import caches
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from apps.notifications.models import Event, Notification
from apps.notifications.password_reset import email as password_resets
from apps.notifications.password_reset import links, views
from apps.templates.models import Template
from apps.users.models import AuditEntry, Category, User
from notifier.configuration.logging import mask
from tests.conftest import client_for, settled
from tests.support.factories import OrganizationFactory, UserFactory, template_with
from tests.support.routes import refused
from tests.users.access.test_login import login

PUBLIC = "https://notify.example.com"
OLD, NEW = "correct horse battery", "staple battery horse"


@pytest.fixture(autouse=True)
def public_url(settings, monkeypatch):
    settings.PUBLIC_URL = PUBLIC
    settings.ALLOWED_HOSTS = ["testserver", "notify.example.com"]
    monkeypatch.setattr(views, "AT_LEAST_SECONDS", 0)


@pytest.fixture
def member(user):
    user.set_password(OLD)
    user.save()
    return user


@pytest.fixture
def browser():
    return Client(enforce_csrf_checks=True)


def ask(email="ada@example.com", **body):
    return APIClient().post("/api/v1/auth/password-reset/", {"email": email, **body}, format="json")


def confirm(code, password=NEW):
    body = {"code": code, "new_password": password}
    return APIClient().post("/api/v1/auth/password-reset/confirm/", body, format="json")


def path_of(user):
    return links.page_for(user).removeprefix(PUBLIC)


@pytest.mark.usefixtures("worker")
class TestMail:
    def test_it_arrives_and_its_link_sets_the_password(self, member, smtp, browser):
        assert ask().status_code == 202
        settled("sent")
        (mail,) = smtp.wait_for(1)
        link = re.search(rf"{PUBLIC}(/password-reset/[^/\s]+/)", mail.data.decode().replace("=\r\n", ""))[1]
        assert b"Set a new password" in mail.data
        answer = browser.post(link, {"new_password": NEW})
        assert (answer.status_code, "Done." in answer.content.decode()) == (200, True)
        assert login(password=NEW).status_code == 200
        assert login(password=OLD).status_code == 401

    def test_in_the_persons_language_and_by_what_editors_made_of_it(self, member, smtp, organization):
        User.objects.update(language="fr-CA")
        assert ask().status_code == 202
        settled("sent")
        assert "nouveau mot de passe" in str(smtp.wait_for(1)[0].data.decode())
        template = Template.objects.get(code="password-reset")
        assert (template.category.mandatory, template.on_unknown) == (True, "resend")
        ask()
        settled("sent")
        assert Template.objects.filter(code="password-reset").count() == 1


class TestAsking:
    @pytest.mark.parametrize("who", ["nobody", "a recipient without a password", "inactive", "another slug"])
    def test_whoever_has_no_account_hears_the_same_and_gets_nothing(self, who, member, organization):
        known = ask()
        Notification.objects.all().delete()
        if who == "inactive":
            User.objects.update(is_active=False)
        if who == "a recipient without a password":
            UserFactory(organization=organization, email="grace@example.com")
        email = {"nobody": "nobody@example.com", "a recipient without a password": "grace@example.com"}.get(
            who
        )
        answer = ask(
            email or "ada@example.com", **({"organization": "none"} if who == "another slug" else {})
        )
        assert (answer.status_code, answer.json()) == (202, known.json())
        assert not Notification.objects.exists()

    def test_each_account_of_an_address_gets_its_own(self, member):
        other = UserFactory(organization=OrganizationFactory(slug="other"), email="ADA@example.com")
        other.set_password(OLD)
        other.save()
        ask()
        assert set(Notification.objects.values_list("user", flat=True)) == {member.pk, other.pk}

    def test_a_mailbox_gets_three_an_hour(self, member):
        for _ in range(5):
            assert ask().status_code == 202
        assert Notification.objects.count() == password_resets.MAILS_A_PERSON

    def test_an_address_of_the_network_asks_five_times_a_minute(self, member):
        caches["default"].clear()
        answers = [ask("nobody@example.com") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [202] * 5 + [429]
        assert answers[-1]["Retry-After"] == "60"

    def test_without_a_public_address_it_says_so(self, member, settings):
        settings.PUBLIC_URL = ""
        assert "PUBLIC_URL" in refused(ask(), 503, "resets_unavailable")["message"]

    def test_an_opt_out_and_quiet_hours_do_not_keep_it(self, member, organization):
        ask()
        assert Category.objects.get(organization=organization, code="account").mandatory

    def test_a_template_that_cannot_carry_it_is_logged(self, member, organization, caplog):
        template_with(organization, code="password-reset")
        assert ask().status_code == 202
        assert "password_reset_not_sent" in caplog.text

    def test_an_answer_takes_its_time(self, member, monkeypatch):
        slept = []
        monkeypatch.setattr(views, "AT_LEAST_SECONDS", 9)
        monkeypatch.setattr(views.time, "sleep", slept.append)
        ask("nobody@example.com")
        assert 8 < slept[0] < 9

    def test_nobody_who_looks_after_messages_sees_the_link(self, member, api):
        ask()
        sent = Notification.objects.get()
        shown = api.get(f"/api/v1/notifications/{sent.pk}/").json()["data"]
        assert shown["variables"] == {"link": "•••"}
        assert PUBLIC in sent.variables["link"]
        assert links.code_for(member).partition(":")[0] not in str(
            Event.objects.values_list("data", flat=True)
        )
        assert sent.expires_at < timezone.now() + timedelta(hours=1, minutes=1)

    def test_a_log_line_does_not_give_the_link_away(self, member):
        assert links.code_for(member) not in mask(f"GET {path_of(member)}")
        assert "***" in mask(f"GET {path_of(member)}")


class TestCode:
    def test_it_works_once_and_ends_every_session(self, member):
        tokens = login().json()["data"]
        code = links.code_for(member)
        assert confirm(code).status_code == 204
        assert login(password=NEW).status_code == 200
        assert "code" in refused(confirm(code, "another battery horse"), 400)["message"]
        assert APIClient().post("/api/v1/auth/refresh/", {"refresh": tokens["refresh"]}).status_code == 401

    def test_not_after_an_hour(self, member, settings):
        code = links.code_for(member)
        settings.PASSWORD_RESET_TIMEOUT = -1
        assert refused(confirm(code), 400)["errors"][0]["code"] == "invalid_code"

    @pytest.mark.parametrize("code", ["", "a", "a:b", "é:b", "AAAA:cxyz-0", "." * 200])
    def test_nonsense_is_refused(self, code, member):
        assert confirm(code).status_code == 400
        assert login().status_code == 200

    def test_nobody_elses(self, member, organization):
        other = UserFactory(organization=organization, email="grace@example.com")
        other.set_password(OLD)
        other.save()
        held, token = links.code_for(other).partition(":")[0], links.code_for(member).partition(":")[2]
        assert confirm(f"{held}:{token}").status_code == 400

    def test_a_poor_password_is_named_and_spends_nothing(self, member):
        code = links.code_for(member)
        assert refused(confirm(code, "short"), 400)["errors"][0]["field"] == "new_password"
        assert confirm(code).status_code == 204


class TestPage:
    def test_looking_changes_nothing(self, member, browser):
        for _ in range(2):
            answer = browser.get(path_of(member))
            assert answer.status_code == 200
            assert 'type="password"' in answer.content.decode()
        assert answer["Cache-Control"] == "no-store"
        assert "a***@example.com" in answer.content.decode()

    def test_a_poor_password_is_said_beside_the_field(self, member, browser):
        answer = browser.post(path_of(member), {"new_password": "short"})
        assert (answer.status_code, "too short" in answer.content.decode()) == (400, True)
        assert login().status_code == 200

    def test_a_spent_link(self, member, browser):
        path = path_of(member)
        browser.post(path, {"new_password": NEW})
        answer = browser.post(path, {"new_password": OLD})
        assert (answer.status_code, "does not work" in answer.content.decode()) == (404, True)
        assert login(password=NEW).status_code == 200


class TestWhoCouldReadIt:
    """Whoever receives another user's reset mail gets that user's account."""

    @pytest.fixture
    def template(self, member):
        ask()
        return "/api/v1/templates/password-reset/"

    def writes(self, client, template):
        contents = [{"channel": "email", "language": "en", "subject": "Hi", "text": "{{ link }}"}]
        yield client.post(f"{template}versions/", {"contents": contents, "activate": True}, format="json")
        yield client.put(f"{template}draft/", {"contents": contents}, format="json")
        yield client.post(f"{template}activate/", {"version": 1}, format="json")
        yield client.patch(template, {"name": "Mine"}, format="json")
        yield client.delete(template)

    def test_editors_do_not_write_its_template(self, template, organization):
        editor = client_for(organization, scopes=["templates:read", "templates:write"])
        assert [answer.status_code for answer in self.writes(editor, template)] == [403] * 5
        assert editor.get(template).status_code == 200
        assert (
            refused(
                editor.post("/api/v1/templates/", {"code": "password-reset", "name": "Mine"}, format="json"),
                400,
            )["errors"][0]["code"]
            == "reserved"
        )

    def test_administrators_do_and_the_default_text_comes_back(self, template, api):
        codes = [answer.status_code for answer in self.writes(api, template)]
        assert codes == [201, 201, 200, 200, 204]
        ask()
        assert Template.objects.filter(code="password-reset", archived_at=None).get().versions.count() == 1

    def test_in_the_admin_neither(self, template, organization):
        editor = UserFactory(
            organization=organization, email="editor@example.com", role="editor", is_staff=True
        )
        found = Template.objects.get(code="password-reset")
        browser = Client()
        browser.force_login(editor)
        page = f"/admin/templates/template/{found.pk}/"
        assert browser.post(f"{page}change/", {"name": "Mine"}).status_code == 403
        assert (
            browser.post(f"{page}versions/1/activate/".replace("/template/", "/template/", 1)).status_code
            == 403
        )

    @pytest.mark.parametrize(
        ("role", "superuser", "by", "allowed"),
        [
            ("member", False, "key", True),
            ("operator", False, "key", False),
            ("admin", False, "key", False),
            ("operator", False, "admin", True),
            ("admin", True, "admin", False),
            ("admin", True, "superuser", True),
        ],
    )
    def test_an_address_is_changed_by_no_lesser(self, role, superuser, by, allowed, organization):
        person = UserFactory(
            organization=organization, email="boss@example.com", role=role, is_superuser=superuser
        )
        if by == "key":
            client = client_for(organization, scopes=["users:read", "users:write"])
        else:
            who = UserFactory(
                organization=organization,
                email="who@example.com",
                role="admin",
                is_superuser=by == "superuser",
            )
            client = APIClient()
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(who)}")
        answer = client.patch(f"/api/v1/users/{person.pk}/", {"email": "evil@example.com"}, format="json")
        assert answer.status_code == (200 if allowed else 403), answer.content
        person.refresh_from_db()
        assert (person.email == "evil@example.com") is allowed

    def test_nor_is_that_of_somebody_who_may_open_the_admin(self, organization):
        person = UserFactory(organization=organization, email="staff@example.com", is_staff=True)
        admin = UserFactory(organization=organization, email="who@example.com", role="admin")
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(admin)}")
        answer = client.patch(f"/api/v1/users/{person.pk}/", {"email": "evil@example.com"}, format="json")
        refused(answer, 403, "beyond_reach")

    def test_a_link_works_in_the_browser_of_another_organizations_operator(self, member, browser):
        staff = UserFactory(
            organization=OrganizationFactory(slug="other"),
            email="staff@example.com",
            role="admin",
            is_staff=True,
        )
        browser.force_login(staff)
        assert browser.post(path_of(member), {"new_password": NEW}).status_code == 200
        assert not AuditEntry.objects.filter(actor=f"user:{staff.pk}", kind="users.user").exists()
