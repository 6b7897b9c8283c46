"""Guessing of passwords: the limits by network address and by account, and the cost of each guess."""

from unittest.mock import patch

import pytest
from django.contrib.auth import authenticate
from django.test import Client
from rest_framework.test import APIClient

from apps.users.access import failed_sign_ins
from apps.users.models import User
from tests.support.factories import OrganizationFactory, UserFactory
from tests.support.routes import refused
from tests.users.conftest import PASSWORD


@pytest.fixture(autouse=True)
def _many_from_one_address(monkeypatch):
    monkeypatch.setattr("django_ratelimit.decorators.is_ratelimited", lambda **_: False)


def login(password=PASSWORD, email="ada@example.com", **body):
    body = {"email": email, "password": password, **body}
    return APIClient().post("/api/v1/auth/login/", body, format="json")


def test_an_account_takes_so_many_guesses_from_wherever_they_come(member, monkeypatch):
    monkeypatch.setattr(failed_sign_ins, "FAILURES", 3)
    assert [login("wrong").status_code for _ in range(3)] == [401] * 3
    answer = login()
    refused(answer, 429, "rate_limited")
    assert int(answer["Retry-After"]) > 60
    # Another spelling is no other account, and another account is not this one's.
    assert login(email="ADA@example.com").status_code == 429
    assert login("wrong", email="grace@example.com").status_code == 401
    page = Client().post("/admin/login/", {"username": "ada@example.com", "password": PASSWORD})
    assert page.status_code == 429


@pytest.mark.parametrize(
    "spelling", ["\uff41da@example.com", " " * 254 + "ada@example.com", " ada@example.com"]
)
def test_no_spelling_that_a_form_takes_is_another_account(spelling, member, monkeypatch):
    monkeypatch.setattr(failed_sign_ins, "FAILURES", 3)
    entered = {"username": spelling, "password": "wrong"}
    for _ in range(3):
        assert Client().post("/admin/login/", entered).status_code == 200
    assert login().status_code == 429
    browser = Client()
    assert browser.post("/admin/login/", {**entered, "password": PASSWORD}).status_code in (200, 429)
    assert "_auth_user_id" not in browser.session


def test_nor_one_that_the_database_takes(db, monkeypatch):
    monkeypatch.setattr(failed_sign_ins, "FAILURES", 3)
    person = UserFactory(email="gina@example.com")
    person.set_password(PASSWORD)
    person.save()
    if not User.objects.filter(User.at("g\u0130na@example.com")).exists():
        pytest.skip("This database takes a dotted capital i for a letter of its own.")
    for _ in range(3):
        assert login("wrong", email="g\u0130na@example.com").status_code == 401
    assert login(email="gina@example.com").status_code == 429
    assert login(email="g\u0130na@example.com").status_code in (401, 429)


def test_the_present_password_of_who_is_signed_in_takes_as_few(member, monkeypatch):
    monkeypatch.setattr(failed_sign_ins, "FAILURES", 3)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {login().json()['data']['access']}")
    body = {"old_password": "wrong", "new_password": "staple battery horse"}
    codes = [client.post("/api/v1/auth/password/", body, format="json").status_code for _ in range(3)]
    assert codes == [400] * 3
    body["old_password"] = PASSWORD
    refused(client.post("/api/v1/auth/password/", body, format="json"), 429, "rate_limited")
    assert login().status_code == 429


def test_and_in_the_admin(member, monkeypatch):
    monkeypatch.setattr(failed_sign_ins, "FAILURES", 3)
    User.objects.update(is_staff=True)
    browser = Client()
    browser.force_login(User.objects.get())
    new = "staple battery horse"
    entered = {"old_password": "wrong", "new_password1": new, "new_password2": new}
    for _ in range(3):
        assert browser.post("/admin/password_change/", entered).status_code == 200
    answer = browser.post("/admin/password_change/", {**entered, "old_password": PASSWORD})
    assert answer.status_code == 429
    assert login().status_code == 429


def test_who_signs_in_is_not_counted(member, monkeypatch):
    monkeypatch.setattr(failed_sign_ins, "FAILURES", 2)
    assert [login().status_code for _ in range(4)] == [200] * 4


def test_a_guess_is_tried_on_two_namesakes_at_most(db):
    for number in range(8):
        person = UserFactory(organization=OrganizationFactory(slug=f"o{number}"), email="ada@example.com")
        person.set_password(f"{PASSWORD} {number}")
        person.save()
    with patch("django.contrib.auth.base_user.check_password", return_value=False) as looked:
        assert authenticate(None, username="ada@example.com", password="x") is None
    assert looked.call_count == 2
    assert login(f"{PASSWORD} 7", organization="o7").status_code == 200
    assert login(f"{PASSWORD} 7").status_code == 401


def test_recipients_and_the_rank_of_staff_do_not_stand_in_the_way(db):
    for number in range(5):
        UserFactory(organization=OrganizationFactory(slug=f"o{number}"), email="ada@example.com")
    for number in range(5, 8):
        person = UserFactory(organization=OrganizationFactory(slug=f"o{number}"), email="ada@example.com")
        person.set_password(f"{PASSWORD} {number}")
        person.is_staff = person.is_superuser = number == 7
        person.save()
    assert authenticate(None, username="ada@example.com", password=f"{PASSWORD} 7").is_superuser


@pytest.mark.parametrize("password", ["password123", "qwertyuiop", "1234567890", "iloveyou123"])
def test_breached_passwords_are_refused(password, db):
    answer = APIClient().post(
        "/api/v1/auth/register/", {"email": "new@example.com", "password": password}, format="json"
    )
    assert refused(answer, 400)["errors"][0]["code"] == "password_too_common"
