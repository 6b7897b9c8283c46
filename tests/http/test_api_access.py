"""Who may use which route."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from rest_framework.test import APIClient

from apps.users.models import ApiKey
from apps.users.models.scopes import Scope
from tests.conftest import client_for
from tests.support.routes import GUARDED, METHODS, ROUTES, refused, served, stored, world_of

MALFORMED = [
    "", "Api-Key", "Api-Key ", "Api-Key x", "Api-Key .", "Api-Key nk_live_.", "Api-Key . .",
    "Api-Key nk_live_0123456789ab.wrong", "Api-Key \0.x", "Api-Key é.ü", "Bearer", "Bearer x", "Bearer x y",
    "Bearer \0", "Bearer ü", "Bearer a.b.c", "Bearer " + "a" * 9000, "Basic YTpi", "Token x", "bearer", "é",
]  # fmt: skip


@pytest.fixture
def world(api, user, version):
    return world_of(api, user)


def test_the_table_has_every_route():
    assert sorted(served()) == sorted((route.method, route.name) for route in ROUTES)


def test_anonymous_is_refused(world):
    before = stored()
    for route in GUARDED:
        answer = route.call(client_without_key(), world)

        refused(answer, 401, "not_authenticated")
        assert answer["WWW-Authenticate"].startswith("Api-Key")
    assert stored() == before


@pytest.mark.parametrize("scope", sorted({route.scope for route in GUARDED if route.scope}))
def test_a_key_needs_the_scope(scope, organization, world):
    without = client_for(organization, scopes=[other for other in Scope.values if other != scope])
    having = client_for(organization, scopes=[scope])
    before = stored()
    for route in GUARDED:
        if route.scope == scope:
            refused(route.call(without, world), 403, "permission_denied")
            assert stored() == before
            with transaction.atomic():
                assert route.call(having, world).status_code in (200, 201, 202, 204), route
                transaction.set_rollback(True)


@pytest.mark.parametrize("name", sorted({route.name for route in ROUTES}))
def test_other_methods_are_405(name, api, world):
    routes = [route for route in ROUTES if route.name == name]
    served_here = {route.method for route in routes}
    before = stored()
    for method in {*METHODS, "TRACE", "FOO"} - served_here:
        answer = api.generic(method, routes[0].url(world), b"{}", content_type="application/json")

        refused(answer, 405, "method_not_allowed")
        assert set(answer["Allow"].split(", ")) >= served_here
    assert stored() == before


def test_options_and_head_break_nothing(api, world):
    for route in ROUTES:
        assert api.options(route.url(world)).status_code == 200
        if route.method == "GET" and not route.person:
            answer = api.head(route.url(world))
            # The relay reports nothing there.
            expected = 404 if route.name == "provider-events" else 200
            assert (answer.status_code, answer.content) == (expected, b"")


def _secret_changed(key: str) -> str:
    return key[:-1] + ("A" if key[-1] != "A" else "B")


def test_malformed_credentials_are_401(db):
    for header in MALFORMED:
        answer = client_without_key().get("/api/v1/users/", headers={"Authorization": header})

        body = refused(answer, 401)
        assert body["error"] in ("not_authenticated", "invalid_api_key", "invalid_token"), header
        assert "{" not in body["message"], header
        assert answer["WWW-Authenticate"], header


def test_a_wrong_secret_is_refused(organization):
    _, plain = ApiKey.objects.issue(organization=organization, name="x", scopes=list(Scope.values))
    assert _get(plain).status_code == 200

    refused(_get(_secret_changed(plain)), 401, "invalid_api_key")
    refused(_get(plain.partition(".")[0]), 401, "invalid_api_key")
    refused(_get(plain + " x"), 401, "invalid_api_key")


@pytest.mark.parametrize("field", ["revoked_at", "expires_at"])
def test_a_revoked_or_expired_key_is_refused(field, organization):
    key, plain = ApiKey.objects.issue(organization=organization, name="x", scopes=list(Scope.values))
    ApiKey.objects.filter(pk=key.pk).update(**{field: timezone.now() - timedelta(seconds=1)})

    refused(_get(plain), 401, "invalid_api_key")


def test_a_key_works_until_it_expires(organization):
    _, plain = ApiKey.objects.issue(
        organization=organization,
        name="x",
        scopes=list(Scope.values),
        expires_at=timezone.now() + timedelta(minutes=1),
    )

    assert _get(plain).status_code == 200


def test_a_key_remembers_its_last_use(organization):
    key, plain = ApiKey.objects.issue(organization=organization, name="x", scopes=list(Scope.values))

    _get(plain)

    key.refresh_from_db()
    assert key.last_used_at is not None
    assert plain not in str(list(ApiKey.objects.values()))


def client_without_key():
    return APIClient(raise_request_exception=False)


def _get(plain: str):
    return client_without_key().get("/api/v1/users/", headers={"Authorization": f"Api-Key {plain}"})
