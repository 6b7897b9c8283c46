"""A view that forgets to filter by organization still shows no other organization's rows."""

import pytest
from django.apps import apps
from django.test import Client
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from apps.notifications.models import Notification
from apps.users.access import permissions
from apps.users.models import User
from notifier.lib.database import tenancy
from notifier.lib.database.tenancy import TenantManager
from tests.conftest import client_for, post
from tests.support.factories import OrganizationFactory, UserFactory
from tests.support.routes import world_of

ROUTES = ("users/", "templates/", "notifications/", "dead-letters/", "categories/", "admin/api-keys/")


@pytest.fixture
def forgetful(monkeypatch):
    """Disables the filters of all views."""
    monkeypatch.setattr(permissions.OrganizationRows, "visible", lambda self, rows, **_: rows)


@pytest.fixture
def world(api, user, version):
    return world_of(api, user)


@pytest.mark.usefixtures("forgetful")
class TestForgottenFilter:
    def test_a_key_sees_its_own_organization_alone(self, api, world):
        other = client_for(OrganizationFactory(slug="other"))
        for route in ROUTES:
            rows = other.get(f"/api/v1/{route}").json()["data"]
            assert len(rows) == (1 if route == "admin/api-keys/" else 0), route
            assert api.get(f"/api/v1/{route}").json()["data"], route
        for path in (
            f"users/{world['pk']}/",
            f"users/{world['pk']}/devices/",
            "templates/hello/",
            "templates/hello/versions/1/",
            "templates/hello/draft/",
            f"notifications/{world['key']}/",
            f"notifications/{world['key']}/events/",
        ):
            assert other.get(f"/api/v1/{path}").status_code == 404, path
            assert api.get(f"/api/v1/{path}").status_code == 200, path
        assert other.patch(f"/api/v1/users/{world['pk']}/", {"name": "X"}).status_code == 404
        assert other.post(f"/api/v1/dead-letters/{world['letter']}/discard/").status_code == 404

    def test_so_does_a_person(self, world):
        boss = UserFactory(organization=OrganizationFactory(slug="other"), role="admin")
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(boss)}")
        assert [row["id"] for row in client.get("/api/v1/users/").json()["data"]] == [str(boss.pk)]
        assert client.get(f"/api/v1/notifications/{world['key']}/").status_code == 404


def test_staff_see_their_organization_alone_whatever_a_page_queries(world, monkeypatch):
    from django.contrib.auth.models import Permission

    from apps.admin.lists.rows import OrganizationRows

    monkeypatch.setattr(OrganizationRows, "get_queryset", lambda self, request: self.model.objects.all())
    staff = UserFactory(organization=OrganizationFactory(slug="other"), is_staff=True)
    staff.user_permissions.set(Permission.objects.all())
    client = Client()
    client.force_login(staff)
    assert world["pk"] not in client.get("/admin/users/user/").content.decode()
    assert client.get(f"/admin/users/user/{world['pk']}/change/").status_code == 302


def test_the_organization_is_reset_at_the_end_of_a_request(api, user, version):
    assert post(api, user).status_code == 202
    OrganizationFactory(slug="other", name="Other")
    UserFactory(organization=OrganizationFactory(slug="third"))
    assert User.objects.count() == 2, "outside of requests everything is there"
    # A request with no valid credential on the thread that has just served one.
    assert APIClient().get("/api/v1/users/").status_code == 401
    assert tenancy._caller.get() is None


def test_an_organization_within_another_sees_nothing_of_it(organization, user, version, api):
    post(api, user)
    with tenancy.fresh():
        tenancy.enter(OrganizationFactory(slug="other").pk)
        for model in apps.get_models():
            if isinstance(model._default_manager, TenantManager):
                assert not model._default_manager.exists(), model
        with tenancy.everywhere():
            assert Notification.objects.exists()
        assert not Notification.objects.exists()
