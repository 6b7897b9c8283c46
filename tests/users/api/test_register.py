"""Registration, where it is allowed."""

import pytest
from django.core.cache import caches
from rest_framework.test import APIClient

from apps.users.models import Organization, User
from tests.support.factories import OrganizationFactory, UserFactory
from tests.support.routes import refused

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


def register(**body):
    client = APIClient(raise_request_exception=False)
    body = {"email": "ada@example.com", "password": PASSWORD, **body}
    return client.post("/api/v1/auth/register/", body)


def test_an_account_is_made_and_signs_in():
    answer = register(name="Ada", language="fr-CA", timezone="Europe/Paris")

    assert answer.status_code == 201
    shown = answer.json()["data"]
    assert shown | {"id": "", "created_at": ""} == {
        "id": "", "email": "ada@example.com", "phone": "", "name": "Ada", "language": "fr-CA",
        "timezone": "Europe/Paris",
        "role": "member", "is_active": True, "created_at": "", "organization": "default", "scopes": [],
        "quiet_from": None, "quiet_until": None,
    }  # fmt: skip
    assert PASSWORD not in answer.content.decode()
    person = User.objects.get()
    assert (person.organization, person.is_staff) == (Organization.objects.default(), False)
    body = {"email": "ada@example.com", "password": PASSWORD}
    assert APIClient().post("/api/v1/auth/login/", body).status_code == 200


def test_where_it_is_closed_nobody_makes_one(settings):
    settings.ALLOW_REGISTRATION = False

    body = refused(register(), 403, "registration_closed")

    assert "administrator" in body["message"]
    assert not User.objects.exists()


def test_an_address_is_registered_once():
    UserFactory(organization=Organization.objects.default(), email="ada@example.com")

    (entry,) = refused(register(email="ADA@example.com"), 400, "validation_error")["errors"]

    assert (entry["field"], entry["code"]) == ("email", "unique")
    assert not User.objects.get().has_usable_password()


def test_another_organizations_namesake_is_no_hindrance():
    UserFactory(organization=OrganizationFactory(), email="ada@example.com")
    assert register().status_code == 201


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short", "password_too_short"),
        ("password1234", "password_too_common"),
        ("ada.lovelace@example.com", "password_too_similar"),
    ],
)
def test_a_weak_password_is_refused(password, code):
    answer = register(email="ada.lovelace@example.com", password=password)

    errors = refused(answer, 400, "validation_error")["errors"]
    assert {entry["field"] for entry in errors} == {"password"}
    assert code in {entry["code"] for entry in errors}
    assert not User.objects.exists()


@pytest.mark.parametrize("field", ["role", "organization", "is_staff", "is_superuser", "is_active"])
def test_nobody_registers_as_more_than_a_member(field):
    (entry,) = refused(register(**{field: "admin"}), 400)["errors"]
    assert (entry["field"], entry["code"]) == (field, "unknown_field")


def test_attempts_are_bounded(settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.REDIS_URL = ""
    caches["default"].clear()
    for _ in range(10):
        refused(register(email="x"), 400)

    refused(register(), 429, "rate_limited")

    assert not User.objects.exists()
