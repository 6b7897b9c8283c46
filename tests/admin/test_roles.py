"""The roles that a person's page offers are explained on one of their own."""

from django.urls import reverse

from apps.users.models.scopes import ROLE_SCOPES, Role, Scope
from tests.support.factories import OrganizationFactory, UserFactory


def test_every_role_says_what_it_may_do(door, organization):
    UserFactory(organization=organization, role=Role.EDITOR)
    page = door.get(reverse("admin:roles")).content.decode()
    for role in Role:
        assert role.label in page
        for scope in ROLE_SCOPES[role]:
            assert Scope(scope).label.replace("'", "&#x27;") in page
    assert "1 person has it" in page
    assert reverse("admin:roles") in door.get(reverse("admin:users_user_changelist")).content.decode()
    person = UserFactory(organization=organization)
    shown = door.get(reverse("admin:users_user_change", args=[person.pk])).content.decode()
    assert reverse("admin:roles") in shown


def test_others_are_not_counted(organization, staff):
    UserFactory(organization=OrganizationFactory(), role=Role.EDITOR)
    page = staff(organization).get(reverse("admin:roles")).content.decode()
    assert "1 person has it" in page
    assert page.count("0 people have it") == len(Role) - 1


def test_who_may_see_no_people_sees_no_counts(organization, staff, client):
    assert staff(organization, "view_template").get(reverse("admin:roles")).status_code == 403
    assert client.get(reverse("admin:roles")).status_code == 302
