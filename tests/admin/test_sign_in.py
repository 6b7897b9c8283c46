"""The admin's own doors: guesses are few."""

import pytest
from django.contrib.auth.hashers import make_password
from django.core.cache import caches
from django.test import Client
from rest_framework.test import APIClient

from apps.users.models import User
from tests.admin.conftest import text_of

pytestmark = pytest.mark.django_db

GUESS = {"username": "root@example.com", "password": "wrong horse"}
PASSWORDS = {"old_password": "wrong horse", "new_password1": "x" * 12, "new_password2": "x" * 12}


@pytest.fixture(autouse=True)
def _own_cache(settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.REDIS_URL = ""
    caches["default"].clear()


def assert_refused(answer):
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 60
    assert "Wait a minute" in text_of(answer)


def test_twenty_guesses_a_minute_and_the_form_stays_open(root: User, client: Client) -> None:
    for _ in range(20):
        assert client.post("/admin/login/?next=/admin/", GUESS).status_code == 200

    assert_refused(client.post("/admin/login/?next=/admin/", GUESS))
    assert_refused(client.post("/admin/login/", {**GUESS, "password": "correct horse"}))

    assert client.get("/admin/login/").status_code == 200
    body = {"email": "root@example.com", "password": "correct horse"}
    assert APIClient().post("/api/v1/auth/login/", body).status_code == 429, "both doors have one count"


def test_the_right_password_opens(root: User, client: Client) -> None:
    User.objects.update(password=make_password("correct horse"))
    answer = client.post("/admin/login/?next=/admin/", {**GUESS, "password": "correct horse"})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


def test_the_present_password_is_guessed_ten_times_a_minute(door: Client) -> None:
    for _ in range(10):
        assert door.post("/admin/password_change/", PASSWORDS).status_code == 200
    assert_refused(door.post("/admin/password_change/", PASSWORDS))
    assert door.get("/admin/password_change/").status_code == 200


def test_the_addresss_own_limit_counts_at_the_form(root: User, client: Client, settings) -> None:
    settings.RATE_LIMIT_ADDRESS = 2
    assert [client.post("/admin/login/", GUESS).status_code for _ in range(3)] == [200, 200, 429]
