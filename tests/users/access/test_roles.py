"""What each role may do, by `apps.users.models.scopes`; a member reaches their own rows alone."""

import pytest
from django.db import transaction
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from apps.users.models.scopes import ROLE_SCOPES, Role
from tests.conftest import post
from tests.support.factories import DeviceFactory, UserFactory
from tests.support.routes import GUARDED, refused, stored, world_of


def signed_in(person):
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(person)}")
    return client


@pytest.fixture
def world(api, user, version):
    return world_of(api, user)


@pytest.fixture
def colleague(organization):
    return UserFactory(organization=organization, email="colleague@example.com")


@pytest.mark.parametrize("role", Role.values)
def test_a_role_reaches_what_its_scopes_say(role, world, colleague):
    colleague.role = role
    colleague.save()
    client = signed_in(colleague)
    for route in GUARDED:
        before = stored()
        with transaction.atomic():
            answer = route.call(client, world)
            if route.scope in ROLE_SCOPES[role]:
                assert answer.status_code in (200, 201, 202, 204), answer.content
            elif route.own and route.name in ("users", "notifications"):
                # The lists are there for everybody, with their own rows.
                assert {row["id"] for row in answer.json()["data"]} <= {str(colleague.pk)}
            else:
                refused(answer, 404 if route.own else 403)
                assert stored() == before
            transaction.set_rollback(True)


@pytest.mark.parametrize("role", [Role.MEMBER, Role.EDITOR])
def test_everybody_reaches_their_own_rows(role, user, world):
    user.role = role
    user.save()
    for route in GUARDED:
        if route.own:
            answer = route.about_oneself().call(signed_in(user), world)
            assert answer.status_code in (200, 201, 204), route


def test_a_member_sees_nobody_else(api, user, world, colleague):
    post(api, colleague)
    DeviceFactory(user=colleague)
    client = signed_in(user)

    assert [row["id"] for row in client.get("/api/v1/users/").json()["data"]] == [str(user.pk)]
    assert client.get("/api/v1/users/?email=colleague@example.com").json()["data"] == []
    shown = client.get("/api/v1/notifications/").json()["data"]
    assert [row["id"] for row in shown] == [world["text"], world["key"]]
    assert client.get(f"/api/v1/notifications/?user={colleague.pk}").json()["data"] == []


@pytest.mark.parametrize("role", [Role.EDITOR, Role.OPERATOR, Role.ADMIN])
def test_nobody_gives_themself_a_role(role, user, world):
    client = signed_in(user)
    answer = client.patch(f"/api/v1/users/{user.pk}/", {"role": role})
    assert [(entry["field"], entry["code"]) for entry in refused(answer, 400)["errors"]] == [
        ("role", "forbidden")
    ]
    user.refresh_from_db()
    assert user.role == Role.MEMBER


def test_a_key_gives_no_role(api, user):
    answer = api.patch(f"/api/v1/users/{user.pk}/", {"role": "admin"})
    assert [entry["field"] for entry in refused(answer, 400)["errors"]] == ["role"]
    answer = api.post("/api/v1/users/", {"email": "b@example.com", "role": "admin"})
    assert [entry["field"] for entry in refused(answer, 400)["errors"]] == ["role"]


def test_an_administrator_gives_roles(user, colleague):
    user.role = Role.ADMIN
    user.save()
    client = signed_in(user)

    answer = client.patch(f"/api/v1/users/{colleague.pk}/", {"role": "operator"})

    assert answer.json()["data"]["role"] == "operator"
    colleague.refresh_from_db()
    assert colleague.role == Role.OPERATOR
    # The role itself may be sent back by whoever changes something else.
    assert client.patch(f"/api/v1/users/{colleague.pk}/", {"role": "operator"}).status_code == 200


@pytest.mark.parametrize("role", [Role.MEMBER, Role.EDITOR, Role.OPERATOR])
def test_everybody_changes_their_own_name_language_and_zone(role, user):
    user.role = role
    user.save()
    url = f"/api/v1/users/{user.pk}/"

    answer = signed_in(user).patch(url, {"name": "Ada L.", "language": "fr", "timezone": "Europe/Paris"})

    assert answer.status_code == 200
    user.refresh_from_db()
    assert (user.name, user.language, user.timezone) == ("Ada L.", "fr", "Europe/Paris")
    # What was read can be sent back.
    assert signed_in(user).patch(url, answer.json()["data"]).status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("role", "admin"),
        ("email", "new@example.com"),
        ("email", "colleague@example.com"),
        ("is_active", False),
    ],
)
@pytest.mark.parametrize("role", [Role.MEMBER, Role.EDITOR, Role.OPERATOR])
def test_nobody_changes_the_rest_of_themself(role, field, value, user, colleague):
    user.role = role
    user.save()
    before = stored()

    answer = signed_in(user).patch(f"/api/v1/users/{user.pk}/", {field: value, "name": "Ada L."})

    (entry,) = refused(answer, 400, "validation_error")["errors"]
    assert (entry["field"], entry["code"]) == (field, "forbidden")
    assert stored() == before


@pytest.mark.parametrize("role", [Role.MEMBER, Role.EDITOR, Role.OPERATOR])
def test_nobody_changes_or_deletes_others_without_the_scope(role, user, colleague):
    user.role = role
    user.save()
    url = f"/api/v1/users/{colleague.pk}/"
    # An operator may know that the colleague is there, and may not change them.
    refused(signed_in(user).patch(url, {"name": "x"}), 404)
    refused(signed_in(user).delete(url), 403)
    refused(signed_in(user).delete(f"/api/v1/users/{user.pk}/"), 403)
