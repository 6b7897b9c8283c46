"""Sign-in, and the validity of its tokens."""

import time
import warnings
from datetime import timedelta

import jwt
import pytest
from django.conf import settings
from django.core.cache import caches
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from apps.users.models import User
from tests.support.factories import OrganizationFactory, UserFactory
from tests.support.routes import refused
from tests.users.conftest import PASSWORD


def login(email="ada@example.com", password=PASSWORD, path="auth", **body):
    client = APIClient()
    return client.post(f"/api/v1/{path}/login/", {"email": email, "password": password, **body})


def me(access, user):
    client = APIClient(raise_request_exception=False)
    return client.get(f"/api/v1/users/{user.pk}/", headers={"Authorization": f"Bearer {access}"})


@pytest.mark.parametrize("path", ["auth", "users"])
@pytest.mark.parametrize("email", ["ada@example.com", "ADA@Example.com"])
def test_the_right_password_gives_tokens(path, email, member):
    answer = login(email, path=path)

    assert answer.status_code == 200
    assert set(answer.json()["data"]) == {"access", "refresh"}
    assert me(answer.json()["data"]["access"], member).json()["data"]["email"] == "ada@example.com"


def test_an_unknown_address_and_a_wrong_password_look_alike(member):
    wrong, unknown = login(password="wrong horse"), login("nobody@example.com")

    assert refused(wrong, 401, "invalid_credentials") == refused(unknown, 401)
    assert wrong["WWW-Authenticate"] == unknown["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize("why", ["inactive", "no password", "another organization's slug", "no such slug"])
def test_accounts_that_may_not_sign_in_get_the_same_response(why, member):
    OrganizationFactory(slug="other")
    slug = {"another organization's slug": "other", "no such slug": "none"}.get(why)
    if why == "inactive":
        member.is_active = False
    if why == "no password":
        member.set_unusable_password()
    member.save()

    answer = login(**({"organization": slug} if slug else {}))

    assert refused(answer, 401) == refused(login("nobody@example.com"), 401)


def test_both_take_as_long(member):
    def seconds(**how):
        begun = time.perf_counter()
        assert login(**how).status_code == 401
        return time.perf_counter() - begun

    wrong = min(seconds(password="wrong horse") for _ in range(3))
    unknown = min(seconds(email="nobody@example.com") for _ in range(3))
    unusable = UserFactory(organization=member.organization, email="b@example.com", password="!")
    without = min(seconds(email=unusable.email) for _ in range(3))

    # A hash takes some 200 ms, everything else a few.
    assert 0.5 < unknown / wrong < 2
    assert 0.5 < without / wrong < 2


def test_namesakes_are_told_apart_by_organization(member):
    other = UserFactory(organization=OrganizationFactory(slug="other"), email=member.email)
    other.set_password(PASSWORD)
    other.save()

    refused(login(), 401, "invalid_credentials")
    for person in (member, other):
        access = login(organization=person.organization.slug).json()["data"]["access"]
        assert me(access, person).status_code == 200
        refused(me(access, other if person is member else member), 404)


def test_a_namesake_with_another_password_is_no_hindrance(member):
    other = UserFactory(organization=OrganizationFactory(slug="other"), email=member.email)
    other.set_password("quite another one")
    other.save()

    access = login().json()["data"]["access"]

    assert me(access, member).status_code == 200


def test_a_long_password_counts_to_its_end(member):
    member.set_password("x" * 100)
    member.save()

    assert login(password="x" * 100).status_code == 200
    assert login(password="x" * 99).status_code == 401
    assert login(password="x" * 101).status_code == 401


@pytest.fixture
def own_cache(settings):
    # Another run's clearing of the shared cache would forget the attempts.
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.REDIS_URL = ""
    caches["default"].clear()


@pytest.mark.parametrize("path", ["auth", "users"])
def test_too_many_attempts_are_429(path, member, own_cache):
    for _ in range(20):
        refused(login(password="", path=path), 400)

    answer = login(path=path)

    refused(answer, 429, "rate_limited")
    assert int(answer["Retry-After"]) > 0
    # The other sign-in endpoint shares the limit.
    refused(login(path="users" if path == "auth" else "auth"), 429, "rate_limited")


def test_odd_values_of_a_proxy_break_nothing(member, settings):
    settings.NUM_PROXIES = 1
    for header in ("", "unknown", "1.2.3.4:99", "x" * 5000, "1.2.3.4, ", "fe80::1%eth0", "é", "_hidden"):
        answer = APIClient().post(
            "/api/v1/auth/login/", {"email": "x", "password": "x"}, headers={"X-Forwarded-For": header}
        )
        assert answer.status_code == 400, header


def test_attempts_are_counted_by_the_address_that_the_proxy_saw(member, settings, own_cache):
    settings.NUM_PROXIES = 1

    def attempt(seen):
        headers = {"X-Forwarded-For": f"10.9.8.7, {seen}"}
        return APIClient().post("/api/v1/auth/login/", {}, headers=headers).status_code

    assert {attempt("203.0.113.1") for _ in range(20)} == {400}
    assert attempt("203.0.113.1") == 429
    assert attempt("203.0.113.2") == 400


def claims(user, **changed):
    access = AccessToken.for_user(user)
    return {**access.payload, **changed}


def signed(payload, key=None, algorithm="HS256"):
    warnings.simplefilter("ignore", jwt.warnings.InsecureKeyLengthWarning)
    return jwt.encode(payload, settings.JWT_SIGNING_KEY if key is None else key, algorithm=algorithm)


def test_a_forged_token_is_refused(member):
    good = signed(claims(member))
    head, body, signature = good.split(".")
    other = UserFactory(organization=member.organization)
    forged = {
        "another key": signed(claims(member), key="another-key-of-thirty-two-bytes-or-more"),
        "the settings' key": signed(claims(member), key=settings.SECRET_KEY),
        "no signature": signed(claims(member), key="", algorithm="none"),
        "cut": f"{head}.{body}.",
        "another body": f"{head}.{signed(claims(other)).split('.')[1]}.{signature}",
        "another algorithm": signed(claims(member), algorithm="HS512"),
        "expired": signed(claims(member, exp=1)),
        "no expiry": signed({key: value for key, value in claims(member).items() if key != "exp"}),
        "no user": signed({key: value for key, value in claims(member).items() if key != "user_id"}),
        "a refresh token": str(RefreshToken.for_user(member)),
        "another user's password": signed(claims(member, user_id=str(other.pk))),
        "an unknown user": signed(claims(member, user_id="6f6bb2b4-7c5e-4d0c-9c0b-8a3f5f0f3a10")),
        "a user that is no id": signed(claims(member, user_id="1 OR 1=1")),
        "a user that is an object": signed(claims(member, user_id={"id": str(member.pk)})),
    }
    assert me(good, member).status_code == 200

    for how, token in forged.items():
        body = refused(me(token, member), 401, "invalid_token")
        assert "{" not in body["message"], how


def test_a_token_ends_after_minutes(member):
    token = AccessToken.for_user(member)
    assert timedelta(minutes=5) <= token.lifetime <= timedelta(minutes=15)
    token.set_exp(lifetime=timedelta(seconds=-1))

    refused(me(token, member), 401, "invalid_token")


def test_a_token_dies_with_its_owner(member):
    access = login().json()["data"]["access"]
    member.is_active = False
    member.save()
    refused(me(access, member), 401, "invalid_token")

    User.objects.all().delete()
    refused(me(access, member), 401, "invalid_token")


def test_a_token_dies_with_the_password(member):
    access = login().json()["data"]["access"]
    member.set_password("another horse battery")
    member.save()

    refused(me(access, member), 401, "invalid_token")
