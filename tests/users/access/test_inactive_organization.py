"""People and keys of a deactivated organization get the responses of unknown ones, at every endpoint."""

import pytest
from django.test import Client
from rest_framework.test import APIClient

from apps.users.models import ApiKey, Organization, User
from apps.users.models.scopes import Role, Scope
from tests.support.factories import OrganizationFactory, UserFactory, key_for
from tests.support.routes import refused

PASSWORD = "correct horse battery"


@pytest.fixture
def person(organization):
    return User.objects.create_superuser("ada@example.com", PASSWORD, organization=organization)


def switch(on):
    Organization.objects.filter(slug="acme").update(is_active=on)


def login(path="auth", email="ada@example.com", **body):
    return APIClient().post(f"/api/v1/{path}/login/", {"email": email, "password": PASSWORD, **body})


def post(path, refresh):
    return APIClient().post(f"/api/v1/auth/{path}/", {"refresh": refresh})


def get(header):
    return APIClient().get("/api/v1/users/", headers={"Authorization": header})


@pytest.mark.parametrize("path", ["auth", "users", "admin"])
def test_nobody_signs_in(path, person):
    switch(False)
    assert refused(login(path), 401, "invalid_credentials") == refused(login(path, "nobody@example.com"), 401)
    refused(login(path, organization="acme"), 401, "invalid_credentials")
    switch(True)
    assert login(path).status_code == 200


def test_tokens_are_worth_nothing_meanwhile(person):
    person.role = Role.ADMIN
    person.save()
    pair = login().json()["data"]
    switch(False)

    assert refused(get(f"Bearer {pair['access']}"), 401) == refused(get("Bearer a.b.c"), 401)
    for path in ("refresh", "logout"):
        answer = refused(post(path, pair["refresh"]), 401, "invalid_token")
        assert answer == refused(post(path, "a.b.c"), 401)

    switch(True)
    assert get(f"Bearer {pair['access']}").status_code == 200
    assert post("refresh", pair["refresh"]).status_code == 200


def test_keys_are_worth_nothing_meanwhile(organization):
    plain = key_for(organization, scopes=list(Scope.values))
    switch(False)
    assert refused(get(f"Api-Key {plain}"), 401) == refused(
        get("Api-Key nk_live_0.x"), 401, "invalid_api_key"
    )
    assert ApiKey.objects.get().last_used_at is None
    switch(True)
    assert get(f"Api-Key {plain}").status_code == 200


def test_a_namesake_elsewhere_signs_in_all_the_same(person):
    other = UserFactory(organization=OrganizationFactory(slug="other"), email=person.email)
    other.set_password(PASSWORD)
    other.save()
    refused(login(), 401)
    switch(False)
    assert login().status_code == 200


def test_the_admin_is_closed_too(person):
    inside, outside = Client(), Client()
    inside.force_login(person)
    assert inside.get("/admin/").status_code == 200
    switch(False)
    assert inside.get("/admin/").status_code == 302
    answer = outside.post("/admin/login/", {"username": person.email, "password": PASSWORD})
    assert answer.status_code == 200
    assert "Please enter the correct" in answer.content.decode()


def test_nobody_switches_off_the_organization_they_sign_in_by(person):
    other = OrganizationFactory(slug="other")
    client = Client()
    client.force_login(person)
    for row in (person.organization, other):
        body = {"name": row.name, "slug": row.slug, "default_language": "en"}
        assert client.post(f"/admin/users/organization/{row.pk}/change/", body).status_code == 302
    assert Organization.objects.get(slug="acme").is_active
    assert not Organization.objects.get(slug="other").is_active
