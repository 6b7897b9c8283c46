"""The sign-in of operators."""

import pytest
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from apps.users.models.scopes import Role
from tests.support.routes import refused
from tests.users.conftest import PASSWORD


def login(password=PASSWORD, email="ada@example.com"):
    return APIClient().post("/api/v1/admin/login/", {"email": email, "password": password})


@pytest.mark.parametrize("role", [Role.ADMIN, Role.EDITOR, Role.OPERATOR])
def test_operators_come_in(role, member):
    member.role = role
    member.save()

    assert set(login().json()["data"]) == {"access", "refresh"}


def test_a_member_is_answered_as_a_wrong_password_is(member):
    wrong = refused(login("wrong horse"), 401, "invalid_credentials")

    assert refused(login(), 401, "invalid_credentials") == wrong
    assert refused(login(email="nobody@example.com"), 401, "invalid_credentials") == wrong


@pytest.mark.parametrize("role", Role.values)
def test_everybody_is_listed_for_those_who_may_see_everybody(role, member):
    member.role = role
    member.save()
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(member)}")

    answer = client.get("/api/v1/admin/users/")

    if role in (Role.ADMIN, Role.OPERATOR):
        assert answer.json()["data"] == client.get("/api/v1/users/").json()["data"]
    else:
        refused(answer, 403, "permission_denied")
