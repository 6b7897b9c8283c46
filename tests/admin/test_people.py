"""The admin pages of people and their devices and preferences."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from apps.users.models import NotificationPreference, Organization, User
from tests.admin.conftest import text_of
from tests.support.factories import OrganizationFactory, UserFactory

pytestmark = pytest.mark.django_db

ADD = "admin:users_user_add"


def form(organization: Organization, **fields: Any) -> dict[str, Any]:
    return {
        "organization": str(organization.pk),
        "email": "new@example.com",
        "name": "New",
        "usable_password": "false",
        "preferences-TOTAL_FORMS": 0,
        "preferences-INITIAL_FORMS": 0,
        "devices-TOTAL_FORMS": 0,
        "devices-INITIAL_FORMS": 0,
        **fields,
    }


def test_a_person_without_a_password(door: Client, organization: Organization) -> None:
    assert door.post(reverse(ADD), form(organization)).status_code == 302
    assert not User.objects.get(email="new@example.com").has_usable_password()


def test_a_person_with_a_password_can_sign_in(door: Client, organization: Organization) -> None:
    posted = form(
        organization, usable_password="true", password1="quite a secret", password2="quite a secret"
    )
    assert door.post(reverse(ADD), posted).status_code == 302
    User.objects.filter(email="new@example.com").update(is_staff=True)
    fresh = Client()
    entered = {"username": "NEW@example.com", "password": "quite a secret", "next": "/admin/"}
    assert fresh.post(reverse("admin:login"), entered).status_code == 302


def test_an_address_is_taken_once_an_organization(door: Client, user: User) -> None:
    answer = door.post(reverse(ADD), form(user.organization, email="ADA@example.com"))
    assert "Another person in this organization has this address." in text_of(answer)
    assert door.post(reverse(ADD), form(OrganizationFactory(), email="ADA@example.com")).status_code == 302


def test_an_address_cant_be_changed_to_a_taken_one(door: Client, user: User) -> None:
    other = UserFactory(organization=user.organization)
    posted = form(user.organization, email=user.email, timezone="UTC", role="member")
    answer = door.post(reverse("admin:users_user_change", args=[other.pk]), posted)
    assert "Another person in this organization has this address." in text_of(answer)


def test_an_address_has_one_spelling(door: Client, organization: Organization) -> None:
    assert door.post(reverse(ADD), form(organization, email="Kim@bücher.example")).status_code == 302
    assert User.objects.get(name="New").email == "Kim@xn--bcher-kva.example"
    answer = door.post(reverse(ADD), form(organization, email='"kim"@XN--BCHER-KVA.example'))
    assert "Another person in this organization has this address." in text_of(answer)
    assert door.post(reverse(ADD), form(organization, email="pelé@example.com")).status_code == 302
    for wrong in ("kim@[::1]", "kim@example.com\u200b", "kim", "kim@xn--a.example"):
        assert "Enter a valid email address" in text_of(
            door.post(reverse(ADD), form(organization, email=wrong))
        )


def test_the_change_password_link_works(door: Client, user: User) -> None:
    assert "../password/" in text_of(door.get(reverse("admin:users_user_change", args=[user.pk])))
    page = reverse("admin:auth_user_password_change", args=[user.pk])
    assert door.get(page).status_code == 200
    entered = {"password1": "a new secret", "password2": "a new secret", "usable_password": "true"}
    assert door.post(page, {**entered, "set-password": "1"}).status_code == 302
    user.refresh_from_db()
    assert user.check_password("a new secret")


def test_a_preference_is_set_and_a_device_removed(door: Client, user: User) -> None:
    device = user.devices.get()
    posted = form(
        user.organization,
        email=user.email,
        timezone="UTC",
        role="member",
        **{
            "preferences-TOTAL_FORMS": 1,
            "preferences-0-channel": "push",
            "devices-TOTAL_FORMS": 1,
            "devices-INITIAL_FORMS": 1,
            "devices-0-id": str(device.pk),
            "devices-0-DELETE": "on",
        },
    )
    assert door.post(reverse("admin:users_user_change", args=[user.pk]), posted).status_code == 302
    assert NotificationPreference.objects.get(user=user).enabled is False
    assert not user.devices.exists()


def test_staff_cant_reach_above_themselves(root: User, organization: Organization, staff: Any) -> None:
    door = staff(organization)
    assert door.post(reverse("admin:auth_user_password_change", args=[root.pk])).status_code == 403
    assert door.post(reverse("admin:users_user_delete", args=[root.pk]), {"post": "yes"}).status_code == 403
    administrator = UserFactory(organization=organization, role="admin")
    assert door.post(reverse("admin:auth_user_password_change", args=[administrator.pk])).status_code == 403


def test_staff_cant_promote_themselves(organization: Organization, staff: Any) -> None:
    door = staff(organization, email="staff@example.com")
    own = User.objects.get(email="staff@example.com")
    posted = form(
        organization, email=own.email, timezone="UTC", role="admin", is_superuser="on", is_active="on"
    )
    assert door.post(reverse("admin:users_user_change", args=[own.pk]), posted).status_code == 302
    own.refresh_from_db()
    assert (own.name, own.role, own.is_superuser) == ("New", "member", False)


def test_groups_are_the_superusers(door: Client, organization: Organization, staff: Any) -> None:
    group = Group.objects.create(name="everybody's")
    own, listed = staff(organization), reverse("admin:auth_group_changelist")
    page = reverse("admin:auth_group_change", args=[group.pk])
    delete, add = reverse("admin:auth_group_delete", args=[group.pk]), reverse("admin:auth_group_add")
    for path in (listed, page, add, reverse("admin:auth_group_history", args=[group.pk])):
        assert own.get(path).status_code == 403, path
        assert door.get(path).status_code == 200, path
    for path in (page, delete, add):
        assert own.post(path, {"name": "mine", "post": "yes"}).status_code == 403, path
    assert listed not in text_of(own.get("/admin/"))
    assert Group.objects.get().name == "everybody's"


def test_staff_add_people_to_their_organization_only(organization: Organization, staff: Any) -> None:
    other = OrganizationFactory()
    assert staff(organization).post(reverse(ADD), form(other)).status_code == 200
    assert not User.objects.filter(organization=other).exists()
