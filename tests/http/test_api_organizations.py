"""Organizations never see each other's rows: another organization's id gets the response of an unknown id."""

import uuid

import pytest
from rest_framework_simplejwt.tokens import AccessToken

from apps.users.models import Device
from tests.conftest import client_for, post
from tests.support.factories import DeviceFactory, OrganizationFactory, UserFactory, template_with
from tests.support.routes import GUARDED, PARTS, refused, stored, world_of

NOBODYS_OWN = "provider-"
"""Routes about providers, which all organizations share."""


@pytest.fixture
def world(api, user, version):
    return world_of(api, user)


@pytest.fixture
def stranger(world):
    """A client of another organization, with every scope."""
    return client_for(OrganizationFactory(slug="other"))


def test_a_foreign_id_answers_like_none(world, stranger):
    none = {**world} | {part: uuid.uuid4() for parts in PARTS.values() for part in parts}
    none |= {"code": "absent", "number": 99}
    before = stored()
    for route in GUARDED:
        if route.name in PARTS and not route.name.startswith(NOBODYS_OWN):
            foreign, absent = route.call(stranger, world), route.call(stranger, none)
            assert refused(foreign, 404, "not_found") == refused(absent, 404, "not_found")
    assert stored() == before


def test_foreign_parts_in_one_path_answer_like_none(api, user, world):
    theirs = DeviceFactory()
    for pk, device in ((user.pk, theirs.pk), (theirs.user.pk, theirs.pk), (theirs.user.pk, world["device"])):
        refused(api.get(f"/api/v1/users/{pk}/devices/{device}/"), 404)
        refused(api.delete(f"/api/v1/users/{pk}/devices/{device}/"), 404)
    assert Device.objects.count() == 2


def test_a_foreign_request_id_answers_like_none(api, user, version, stranger):
    post(api, user, request_id="order-7")

    refused(stranger.get("/api/v1/notifications/order-7/"), 404)
    refused(stranger.get("/api/v1/notifications/order-7/events/"), 404)
    refused(stranger.post("/api/v1/notifications/order-7/cancel/"), 404)


@pytest.mark.parametrize("name", ["users", "templates", "notifications"])
def test_lists_hold_no_foreign_rows(name, world, stranger, user):
    assert stranger.get(f"/api/v1/{name}/").json()["data"] == []
    query = {"users": f"email={user.email}", "notifications": f"user={user.pk}", "templates": ""}[name]
    assert stranger.get(f"/api/v1/{name}/?{query}").json()["data"] == []


def test_foreign_names_in_a_body_answer_like_unknown_ones(api, organization, world, stranger):
    other = OrganizationFactory(slug="third")
    theirs = UserFactory(organization=other)
    template_with(other, code="theirs")
    mine = UserFactory(organization=organization)
    before = stored()

    def posted(**body):
        return refused(post(api, **body), 400, "validation_error")

    assert posted(user_id=str(theirs.pk)) == posted(user_id=str(uuid.uuid4()))
    by_code = {"user_id": str(mine.pk)}
    assert posted(template_code="theirs", **by_code) == posted(template_code="absent", **by_code)
    assert stored() == before


def test_one_template_code_and_address_and_request_id_in_each(api, user, version, world):
    other = OrganizationFactory(slug="third")
    there = client_for(other)
    contents = [{"channel": "email", "language": "en", "subject": "Theirs", "text": "Theirs"}]

    assert there.post("/api/v1/users/", {"email": user.email}).status_code == 201
    answer = there.post("/api/v1/templates/", {"code": "hello", "name": "Hello", "contents": contents})
    assert answer.status_code == 201
    headers = {"Idempotency-Key": "one"}
    ours = post(api, user, request_id="order-8", headers=headers).json()["data"]
    person = there.get(f"/api/v1/users/?email={user.email}").json()["data"][0]
    answer = post(there, user_id=person["id"], request_id="order-8", headers=headers)

    assert answer.status_code == 202
    assert answer.json()["data"]["id"] != ours["id"]
    assert "Idempotent-Replayed" not in answer
    url = "/api/v1/templates/hello/preview/"
    assert there.post(url, {}).json()["data"]["contents"]["email"]["subject"] == "Theirs"


def test_a_device_token_stays_in_each_organization(api, user, stranger):
    body = {"token": "ada-phone-token-0001", "platform": "ios"}
    person = stranger.post("/api/v1/users/", {"email": "b@example.com"}).json()["data"]

    assert stranger.post(f"/api/v1/users/{person['id']}/devices/", body).status_code == 201

    assert [device.token for device in Device.objects.all()] == ["ada-phone-token-0001"] * 2
    assert user.devices.count() == 1
    answer = api.post(f"/api/v1/users/{user.pk}/devices/", body)
    assert (answer.status_code, answer.json()["data"]["id"]) == (200, str(user.devices.get().pk))
    assert Device.objects.count() == 2


def test_an_editor_of_one_organization_is_nobody_in_another(user, world):
    admin = UserFactory(organization=OrganizationFactory(slug="third"), role="admin")
    client = client_for(admin.organization)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(admin)}")
    for route in GUARDED:
        if route.name in PARTS and not route.name.startswith(NOBODYS_OWN):
            refused(route.call(client, world), 404)
