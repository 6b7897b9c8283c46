"""Sessions: renewed, ended, and revoked with the password."""

import threading

import pytest
from django.core.cache import caches
from django.db import connection
from rest_framework.test import APIClient
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from apps.users.models import ApiKey
from apps.users.models.scopes import ROLE_SCOPES, Role
from tests.conftest import client_for
from tests.support.routes import refused
from tests.users.conftest import PASSWORD

OTHER = "staple battery horse"


def post(path, body, access=None):
    client = APIClient(raise_request_exception=False)
    headers = {"Authorization": f"Bearer {access}"} if access else {}
    return client.post(f"/api/v1/auth/{path}/", body, headers=headers)


def login(password=PASSWORD):
    return post("login", {"email": "ada@example.com", "password": password})


def tokens(answer):
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]["access"], answer.json()["data"]["refresh"]


def me(access):
    client = APIClient(raise_request_exception=False)
    return client.get("/api/v1/auth/me/", headers={"Authorization": f"Bearer {access}"})


def test_a_refresh_token_gives_a_new_pair_once(member):
    _, first = tokens(login())

    access, second = tokens(post("refresh", {"refresh": first}))

    assert second != first
    assert me(access).status_code == 200
    answer = post("refresh", {"refresh": first})
    refused(answer, 401, "invalid_token")
    assert answer["WWW-Authenticate"]


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_gets_the_new_pair(member):
    _, refresh = tokens(login())
    barrier, statuses = threading.Barrier(4), []

    def renew():
        barrier.wait()
        statuses.append(post("refresh", {"refresh": refresh}).status_code)
        connection.close()

    threads = [threading.Thread(target=renew) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200, 401, 401, 401]


def test_no_living_token_is_stored(member):
    _, refresh = tokens(login())
    assert not OutstandingToken.objects.exists()

    _, second = tokens(post("refresh", {"refresh": refresh}))

    assert list(OutstandingToken.objects.values_list("token", flat=True)) == [refresh]


def test_signing_out_ends_the_session(member):
    _, refresh = tokens(login())
    _, elsewhere = tokens(login())

    answer = post("logout", {"refresh": refresh})

    assert (answer.status_code, answer.content) == (204, b"")
    refused(post("refresh", {"refresh": refresh}), 401, "invalid_token")
    refused(post("logout", {"refresh": refresh}), 401, "invalid_token")
    assert tokens(post("refresh", {"refresh": elsewhere}))


@pytest.mark.parametrize("path", ["refresh", "logout"])
def test_what_is_no_refresh_token_is_refused(path, member):
    expired = RefreshToken.for_user(member)
    expired.set_exp(lifetime=-expired.lifetime)
    nobody = RefreshToken.for_user(member)
    nobody["user_id"] = "6f6bb2b4-7c5e-4d0c-9c0b-8a3f5f0f3a10"
    odd = RefreshToken.for_user(member)
    odd["user_id"] = {"id": str(member.pk)}
    nameless = RefreshToken.for_user(member)
    del nameless["jti"]
    unbound = RefreshToken.for_user(member)
    del unbound["hash_password"]
    for token in ("x", "a.b.c", AccessToken.for_user(member), expired, nobody, odd, nameless, unbound):
        refused(post(path, {"refresh": str(token)}), 401, "invalid_token")


def test_a_session_dies_with_its_owner(member):
    _, refresh = tokens(login())
    member.is_active = False
    member.save()

    refused(post("refresh", {"refresh": refresh}), 401, "invalid_token")


def test_me_says_who_and_what(member):
    member.role = Role.OPERATOR
    member.save()
    access, _ = tokens(login())

    shown = me(access).json()["data"]

    assert (shown["id"], shown["email"], shown["organization"]) == (
        str(member.pk),
        "ada@example.com",
        "acme",
    )
    assert shown["role"] == "operator"
    assert set(shown["scopes"]) == ROLE_SCOPES[Role.OPERATOR]


def test_a_key_is_nobody(organization):
    assert ApiKey.objects.count() == 0
    key = client_for(organization)
    refused(key.get("/api/v1/auth/me/"), 403, "permission_denied")
    refused(key.post("/api/v1/auth/password/", {}), 403, "permission_denied")


def test_a_new_password_ends_every_session(member):
    access, refresh = tokens(login())
    other_access, other_refresh = tokens(login())

    answer = post("password", {"old_password": PASSWORD, "new_password": OTHER}, access)

    assert (answer.status_code, answer.content) == (204, b"")
    for token in (access, other_access):
        refused(me(token), 401, "invalid_token")
    for token in (refresh, other_refresh):
        refused(post("refresh", {"refresh": token}), 401, "invalid_token")
    refused(login(), 401, "invalid_credentials")
    assert me(tokens(login(OTHER))[0]).status_code == 200


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"old_password": "wrong horse", "new_password": OTHER}, "old_password", "wrong_password"),
        ({"old_password": PASSWORD, "new_password": "short"}, "new_password", "password_too_short"),
        (
            {"old_password": PASSWORD, "new_password": "ada@example.com"},
            "new_password",
            "password_too_similar",
        ),
        ({"new_password": OTHER}, "old_password", "required"),
        ({"old_password": PASSWORD}, "new_password", "required"),
        ({"old_password": 5, "new_password": OTHER}, "old_password", "invalid"),
        (
            {"old_password": PASSWORD, "new_password": OTHER, "email": "b@example.com"},
            "email",
            "unknown_field",
        ),
    ],
)
def test_a_password_that_cant_be_taken(body, field, code, member):
    access, _ = tokens(login())

    errors = refused(post("password", body, access), 400, "validation_error")["errors"]

    assert (field, code) in {(entry["field"], entry["code"]) for entry in errors}
    assert me(access).status_code == 200


@pytest.mark.parametrize(("path", "bound"), [("refresh", 60), ("logout", 60), ("password", 10)])
def test_attempts_are_bounded(path, bound, member, settings):
    access, _ = tokens(login())
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.REDIS_URL = ""
    caches["default"].clear()
    for _ in range(bound):
        refused(post(path, {}, access), 400)

    refused(post(path, {}, access), 429, "rate_limited")
