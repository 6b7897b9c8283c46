"""The rate limit of each caller, and its headers on every response."""

import subprocess
import sys
import threading
import time

import pytest
from django.core.cache import caches
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from apps.notifications.models import Notification
from apps.users.models import ApiKey
from apps.users.models.scopes import Role
from scripts.private_services.redis import PrivateRedis
from tests.conftest import client_for, post
from tests.environment import ROOT
from tests.lib.test_sliding_window import patient
from tests.project.test_settings import GOOD
from tests.support.factories import UserFactory
from tests.support.routes import ROUTES, refused, stored, world_of

NAMES = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
USERS = "/api/v1/users/"


def anonymous(**headers):
    return APIClient(raise_request_exception=False, headers=headers)


def quota(answer):
    limit, remaining, reset = (int(answer[name]) for name in NAMES)
    assert 0 <= reset - time.time() <= 61
    return limit, remaining


def wait_of(answer):
    refused(answer, 429, "rate_limited")
    wait = int(answer["Retry-After"])
    assert 1 <= wait <= 60
    return wait


def test_a_key_has_so_many_requests_a_minute(api, settings, organization):
    settings.RATE_LIMIT_KEY = 3
    assert [quota(api.get(USERS)) for _ in range(3)] == [(3, 2), (3, 1), (3, 0)]

    answer = api.get(USERS)

    wait_of(answer)
    assert quota(answer) == (3, 0)
    assert client_for(organization).get(USERS).status_code == 200, "another key is another's"


def test_what_is_refused_is_not_done(api, settings, user, version):
    settings.RATE_LIMIT_KEY = 1
    assert post(api, user).status_code == 202
    before = stored()
    wait_of(post(api, user))
    assert stored() == before


def test_a_key_may_have_a_limit_of_its_own(organization, settings):
    settings.RATE_LIMIT_KEY = 100
    for own in (2, 200):
        client = client_for(organization, rate_limit=own)
        assert quota(client.get(USERS)) == (own, own - 1)
    ApiKey.objects.update(rate_limit=1)
    wait_of(client.get(USERS))


def test_a_person_is_counted_whatever_the_token(user, organization, settings):
    settings.RATE_LIMIT_PERSON = 3
    clients = [APIClient() for _ in range(2)]
    for client in clients:
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(user)}")

    responses = [quota(clients[n % 2].get("/api/v1/auth/me/")) for n in range(3)]

    assert responses == [(3, 2), (3, 1), (3, 0)]
    for client in clients:
        wait_of(client.get("/api/v1/auth/me/"))
    other = APIClient()
    other.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(UserFactory())}")
    assert quota(other.get("/api/v1/auth/me/")) == (3, 2)


GUESSES = {
    "no key": {},
    "a wrong key": {"Authorization": "Api-Key nk_live_0123456789ab.wrong"},
    "a forged token": {"Authorization": "Bearer a.b.c"},
    "another scheme": {"Authorization": "Basic YTpi"},
}


@pytest.mark.parametrize("how", GUESSES)
def test_an_unauthenticated_caller_is_counted_by_address(how, db, settings):
    settings.RATE_LIMIT_ADDRESS = 3
    client = anonymous(**GUESSES[how])
    responses = [client.get(USERS) for _ in range(3)]
    assert [(answer.status_code, quota(answer)) for answer in responses] == [
        (401, (3, 2)),
        (401, (3, 1)),
        (401, (3, 0)),
    ]
    answer = client.get(USERS)
    wait_of(answer)
    assert quota(answer) == (3, 0)
    assert "WWW-Authenticate" not in answer


def test_guesses_are_counted_together_and_hinder_no_key(api, settings):
    settings.RATE_LIMIT_ADDRESS = len(GUESSES) + 2
    for headers in GUESSES.values():
        refused(anonymous(**headers).get(USERS), 401)
    refused(anonymous().get("/api/v1/nothing/"), 404)
    refused(anonymous().post("/api/v1/auth/refresh/", {}, format="json"), 400)

    wait_of(anonymous().get(USERS))
    wait_of(anonymous().get("/api/v1/nothing/"))
    wait_of(anonymous().post("/api/v1/auth/refresh/", {}, format="json"))
    assert api.get(USERS).status_code == 200


def test_a_key_pays_for_what_it_may_not_do(organization, settings):
    settings.RATE_LIMIT_KEY = 2
    client = client_for(organization, scopes=[])
    for left in (1, 0):
        answer = client.get(USERS)
        refused(answer, 403)
        assert quota(answer) == (2, left)
    wait_of(client.get(USERS))


def test_every_answer_says_it(api, user, version):
    api.raise_request_exception = False
    world = world_of(api, user)
    for route in ROUTES:
        for client in (api, anonymous()):
            answer = route.call(client, world)
            assert all((name in answer) != route.name.startswith("health") for name in NAMES), (route, answer)
    for answer in (
        api.get("/api/v1/nothing/"),
        api.put(USERS, {}),
        api.options(USERS),
        api.generic("POST", USERS, b"{", content_type="application/json"),
        api.generic("POST", USERS, b"{}", content_type="text/plain"),
        anonymous().get(USERS, headers={"Host": "elsewhere.example"}),
    ):
        assert all(name in answer for name in NAMES), answer.status_code


def test_a_response_about_our_own_error_says_it_too(api, settings, monkeypatch):
    def broken(*_):
        raise RuntimeError

    api.raise_request_exception = False
    monkeypatch.setattr("apps.users.api.views.users.UserRows.get_queryset", broken)
    answer = api.get(USERS)
    refused(answer, 500)
    assert quota(answer) == (settings.RATE_LIMIT_KEY, settings.RATE_LIMIT_KEY - 1)


def test_an_unavailable_database_is_not_counted_against_an_address(api, settings, monkeypatch):
    from django.db import OperationalError

    def away(*_):
        raise OperationalError

    settings.RATE_LIMIT_ADDRESS = 2
    monkeypatch.setattr("apps.users.access.authentication.ApiKeyAuthentication.authenticate", away)
    for _ in range(4):
        answer = api.get(USERS)
        refused(answer, 503, "database_unavailable")
        assert quota(answer) == (2, 2)


def test_health_is_never_refused(db, settings):
    settings.RATE_LIMIT_ADDRESS = 1
    for path in ("", "live/", "ready/") * 2:
        assert anonymous().get(f"/api/v1/health/{path}").status_code == 200
    assert quota(anonymous().get(USERS)) == (1, 0)


def batch(api, count, **fields):
    item = {"recipient": {"email": "ada@example.com"}, "template_code": "hello", "variables": {"name": "Ada"}}
    return api.post(
        "/api/v1/notifications/batch/", {"notifications": [item] * count, **fields}, format="json"
    )


def test_the_items_of_batches_have_a_quota_of_their_own(api, settings, version, unpublished):
    settings.RATE_LIMIT_ITEMS = 10
    settings.RATE_LIMIT_KEY = 8
    assert [quota(batch(api, count)) for count in (4, 3)] == [(10, 6), (10, 3)]
    before = stored()

    answer = batch(api, 4)

    wait_of(answer)
    assert quota(answer) == (10, 3)
    assert stored() == before
    assert quota(batch(api, 3)) == (10, 0)
    assert Notification.objects.count() == 10
    # Four batches were four requests.
    assert quota(api.get(USERS)) == (8, 3)


def test_a_long_item_counts_as_many(api, settings, version, unpublished):
    settings.RATE_LIMIT_ITEMS = 1000
    assert quota(batch(api, 1)) == (1000, 999)
    long = {"template_code": "hello", "metadata": {"note": "x" * 400_000}}
    assert quota(batch(api, 1, notifications=[long] * 9))[1] < 150
    wait_of(batch(api, 1, notifications=[long] * 9))


def test_the_address_is_the_one_that_trusted_proxies_saw(db, settings):
    settings.RATE_LIMIT_ADDRESS = 1

    def status_of(header):
        return anonymous(**{"X-Forwarded-For": header}).get(USERS).status_code

    assert [status_of("203.0.113.1"), status_of("203.0.113.2")] == [401, 429], "nobody is trusted by default"
    settings.NUM_PROXIES = 1
    assert [status_of("203.0.113.1"), status_of("9.9.9.9, 203.0.113.1"), status_of("203.0.113.2")] == [
        401,
        429,
        401,
    ]
    # A host has a whole /64, and IPv4 may come mapped.
    assert [status_of("2001:db8::1"), status_of("2001:db8::ffff:2"), status_of("2001:db8:0:1::1")] == [
        401,
        429,
        401,
    ]
    assert [status_of("::ffff:203.0.113.2"), status_of("::ffff:203.0.113.3")] == [429, 401]


def test_a_tighter_bound_leaves_nothing_over(db, settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    caches["default"].clear()
    settings.REDIS_URL = ""
    for _ in range(20):
        assert quota(anonymous().post("/api/v1/auth/login/", {}))[1] > 0
    answer = anonymous().post("/api/v1/auth/login/", {})
    wait_of(answer)
    assert quota(answer)[1] == 0


def test_of_two_hundred_at_once_fifty_pass(settings):
    settings.RATE_LIMIT_ADDRESS = 50
    patient(settings)
    start, codes = threading.Barrier(200), []

    def request():
        client = anonymous()
        start.wait(30)
        codes.append(client.get(USERS).status_code)

    crowd = [threading.Thread(target=request) for _ in range(200)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join(60)
    assert sorted(codes) == [401] * 50 + [429] * 150


@pytest.mark.skipif("not __import__('django.conf').conf.settings.REDIS_URL")
@pytest.mark.parametrize("error", ["kill", "freeze", "flush"])
def test_a_failure_of_redis_is_no_error_and_no_exemption(error, settings, organization, api):
    settings.RATE_LIMIT_KEY = 5
    with PrivateRedis() as server:
        settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": server.url}}
        assert [quota(api.get(USERS))[1] for _ in range(3)] == [4, 3, 2]
        getattr(server, error)()
        responses = [api.get(USERS).status_code for _ in range(8)]
    assert responses == [200] * 5 + [429] * 3


def test_the_limits_that_hold_by_default():
    shown = subprocess.run(
        [
            sys.executable, "-c",
            "from notifier import settings as s;"
            "print(s.RATE_LIMIT_ADDRESS, s.RATE_LIMIT_KEY, s.RATE_LIMIT_PERSON, s.RATE_LIMIT_ITEMS)",
        ],
        cwd=ROOT, env={"PATH": "/usr/bin:/bin", **GOOD}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout.split() == ["100", "6000", "600", "60000"]


class TestKeysOverTheApi:
    URL = "/api/v1/admin/api-keys/"

    @pytest.fixture
    def boss(self, organization):
        client = APIClient()
        person = UserFactory(organization=organization, role=Role.ADMIN)
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(person)}")
        return client

    def test_a_limit_is_given_changed_kept_and_taken_away(self, boss):
        made = boss.post(self.URL, {"name": "Shop", "rate_limit": 2}, format="json").json()["data"]
        url = f"{self.URL}{made['id']}/"
        assert made["rate_limit"] == boss.get(url).json()["data"]["rate_limit"] == 2
        assert boss.post(f"{url}rotate/", {}, format="json").json()["data"]["rate_limit"] == 2
        for limit in (7, None):
            answer = boss.patch(url, {"rate_limit": limit}, format="json")
            assert (answer.status_code, answer.json()["data"]["rate_limit"]) == (200, limit)
            assert ApiKey.objects.get(pk=made["id"]).rate_limit == limit
        assert boss.patch(url, {"name": "Shop 2"}, format="json").json()["data"]["name"] == "Shop 2"
        assert boss.patch(url, {}, format="json").status_code == 200

    @pytest.mark.parametrize("limit", [0, -1, 1_000_001, "5", 1.5, True, [], {}, 2**63])
    def test_a_limit_without_sense_is_named(self, limit, boss):
        key = boss.post(self.URL, {"name": "Shop"}, format="json").json()["data"]
        before = stored()
        for answer in (
            boss.post(self.URL, {"name": "Shop", "rate_limit": limit}, format="json"),
            boss.patch(f"{self.URL}{key['id']}/", {"rate_limit": limit}, format="json"),
        ):
            (entry,) = refused(answer, 400, "validation_error")["errors"]
            assert entry["field"] == "rate_limit"
        assert stored() == before

    @pytest.mark.parametrize("field", ["scopes", "live", "expires_at", "prefix", "organization"])
    def test_what_a_key_may_do_is_fixed(self, field, boss):
        key = boss.post(self.URL, {"name": "Shop"}, format="json").json()["data"]
        (entry,) = refused(boss.patch(f"{self.URL}{key['id']}/", {field: None}, format="json"), 400)["errors"]
        assert (entry["field"], entry["code"]) == (field, "unknown_field")
