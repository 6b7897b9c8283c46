"""The endpoints of API keys: create, list, rotate, revoke."""

import json
import time
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from apps.users.models import ApiKey
from apps.users.models.scopes import ROLE_SCOPES, Role, Scope
from tests.conftest import client_for
from tests.support.factories import OrganizationFactory, UserFactory
from tests.support.routes import refused, stored

URL = "/api/v1/admin/api-keys/"
SHOWN = {
    "id", "name", "prefix", "scopes", "live", "rate_limit", "addresses", "expires_at", "revoked_at",
    "last_used_at", "created_by", "created_at",
}  # fmt: skip


@pytest.fixture
def boss(organization):
    return UserFactory(organization=organization, email="boss@example.com", role=Role.ADMIN)


@pytest.fixture
def client(boss):
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(boss)}")
    return client


def used(plain, path="users/"):
    return APIClient().get(f"/api/v1/{path}", headers={"Authorization": f"Api-Key {plain}"})


def made(client, **body):
    answer = client.post(URL, {"name": "Shop", "scopes": ["users:read"], **body})
    assert answer.status_code == 201, answer.content
    return answer.json()["data"]


def test_a_key_is_made_and_shown_once(client, boss):
    shown = made(client)

    assert set(shown) == {*SHOWN, "key"}
    assert (shown["name"], shown["scopes"], shown["live"]) == ("Shop", ["users:read"], True)
    assert shown["created_by"] == str(boss.pk)
    life = ApiKey.objects.get().expires_at - timezone.now()
    assert timedelta(days=364) < life < timedelta(days=366)
    assert shown["key"].startswith(shown["prefix"] + ".")
    assert used(shown["key"]).status_code == 200

    listed = client.get(URL)
    (row,) = listed.json()["data"]
    one = client.get(f"{URL}{shown['id']}/")
    assert set(row) == SHOWN
    assert one.json()["data"] == row
    key = ApiKey.objects.get()
    for answer in (listed, one):
        assert key.key_hash not in answer.content.decode()
        assert shown["key"].partition(".")[2] not in answer.content.decode()
    assert shown["key"].partition(".")[2] not in json.dumps(stored(), default=str)


def test_what_isnt_said_is_little(client):
    shown = client.post(URL, {"name": "Shop"}).json()["data"]

    assert sorted(shown["scopes"]) == ["notifications:read", "notifications:write"]


def test_a_test_key_and_its_end(client):
    ends = timezone.now() + timedelta(days=1)
    shown = made(client, live=False, expires_at=ends.isoformat())

    assert shown["live"] is False
    assert shown["key"].startswith("nk_test_")
    assert ApiKey.objects.get().expires_at == ends


@pytest.mark.parametrize("role", [Role.MEMBER, Role.EDITOR, Role.OPERATOR])
def test_only_an_administrator_may(role, boss, client):
    key = made(client)
    boss.role = role
    boss.save()
    before = stored()
    for method, url in (
        ("get", URL), ("post", URL), ("get", f"{URL}{key['id']}/"), ("delete", f"{URL}{key['id']}/"),
        ("post", f"{URL}{key['id']}/rotate/"),
    ):  # fmt: skip
        refused(getattr(client, method)(url, {}), 403, "permission_denied")
    assert stored() == before
    assert Scope.API_KEYS_WRITE in ROLE_SCOPES[Role.ADMIN]


def test_nobody_gives_more_than_they_have(organization):
    api = client_for(organization, scopes=["api-keys:write", "users:read"])

    (entry,) = refused(
        api.post(URL, {"name": "x", "scopes": ["users:read", "users:write"]}), 400, "validation_error"
    )["errors"]

    assert (entry["field"], entry["code"]) == ("scopes", "beyond")
    assert "users:write" in entry["detail"]
    # What a key can do by default is more than this one has.
    assert refused(api.post(URL, {"name": "x"}), 400)["errors"][0]["code"] == "beyond"
    assert api.post(URL, {"name": "x", "scopes": ["users:read"]}).status_code == 201


def test_a_test_key_makes_no_live_one(organization):
    api = client_for(organization, live=False)
    live, _ = ApiKey.objects.issue(organization=organization, name="live", scopes=["users:read"])

    (entry,) = refused(api.post(URL, {"name": "x", "live": True}), 400)["errors"]

    assert (entry["field"], entry["code"]) == ("live", "beyond")
    assert api.post(URL, {"name": "x"}).json()["data"]["live"] is False
    refused(api.post(f"{URL}{live.pk}/rotate/", {}), 403, "beyond_reach")


def test_rotation_shows_no_key_that_may_do_more(organization):
    api = client_for(organization, scopes=["api-keys:write"])
    strong, _ = ApiKey.objects.issue(organization=organization, name="strong", scopes=["users:write"])
    before = stored()

    refused(api.post(f"{URL}{strong.pk}/rotate/", {}), 403, "beyond_reach")

    assert stored() == before


def test_a_revoked_key_is_dead_at_once(client):
    key = made(client)
    assert used(key["key"]).status_code == 200

    answer = client.delete(f"{URL}{key['id']}/")

    assert (answer.status_code, answer.content) == (204, b"")
    refused(used(key["key"]), 401, "invalid_api_key")
    first = client.get(f"{URL}{key['id']}/").json()["data"]["revoked_at"]
    assert first
    assert client.delete(f"{URL}{key['id']}/").status_code == 204
    assert client.get(f"{URL}{key['id']}/").json()["data"]["revoked_at"] == first


@pytest.mark.parametrize(
    ("body", "seconds"), [({}, 86400), ({"overlap": 60}, 60), ({"overlap": 604800}, 604800)]
)
def test_rotation_overlaps(body, seconds, client):
    old = made(client, live=False)

    answer = client.post(f"{URL}{old['id']}/rotate/", body)

    assert answer.status_code == 201
    new = answer.json()["data"]
    assert new["id"] != old["id"]
    assert [new[name] for name in ("name", "scopes", "live")] == ["Shop", ["users:read"], False]
    assert used(old["key"]).status_code == used(new["key"]).status_code == 200
    ends = ApiKey.objects.get(pk=old["id"]).expires_at
    assert abs(ends - timezone.now() - timedelta(seconds=seconds)) < timedelta(seconds=10)


def test_after_the_overlap_the_old_key_is_dead(client):
    old = made(client)
    new = client.post(f"{URL}{old['id']}/rotate/", {"overlap": 1}).json()["data"]
    assert used(old["key"]).status_code == 200

    time.sleep(1.1)

    refused(used(old["key"]), 401, "invalid_api_key")
    assert used(new["key"]).status_code == 200


def test_without_overlap_the_old_key_is_dead_at_once(client):
    old = made(client)

    new = client.post(f"{URL}{old['id']}/rotate/", {"overlap": 0}).json()["data"]

    refused(used(old["key"]), 401, "invalid_api_key")
    assert used(new["key"]).status_code == 200


def test_rotation_lengthens_no_life(client):
    ends = timezone.now() + timedelta(hours=1)
    old = made(client, expires_at=ends.isoformat())

    new = client.post(f"{URL}{old['id']}/rotate/", {"overlap": 86400}).json()["data"]

    assert ApiKey.objects.get(pk=old["id"]).expires_at == ends
    # The new one lives as long as the old one was made for.
    life = ApiKey.objects.get(pk=new["id"]).expires_at - timezone.now()
    assert timedelta(minutes=59) < life < timedelta(minutes=61)


@pytest.mark.parametrize("field", ["revoked_at", "expires_at"])
def test_an_ended_key_is_not_rotated(field, client):
    old = made(client)
    ApiKey.objects.filter(pk=old["id"]).update(**{field: timezone.now() - timedelta(seconds=1)})

    refused(client.post(f"{URL}{old['id']}/rotate/", {}), 409, "key_ended")

    assert ApiKey.objects.count() == 1


def test_another_organizations_keys_are_out_of_sight(client):
    theirs, plain = ApiKey.objects.issue(organization=OrganizationFactory(), name="x", scopes=["users:read"])

    assert client.get(URL).json()["data"] == []
    refused(client.get(f"{URL}{theirs.pk}/"), 404)
    refused(client.delete(f"{URL}{theirs.pk}/"), 404)
    refused(client.post(f"{URL}{theirs.pk}/rotate/", {}), 404)
    assert used(plain).status_code == 200
