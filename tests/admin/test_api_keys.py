"""The admin pages of API keys."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.users.models import ApiKey, Organization
from tests.admin.conftest import text_of
from tests.support.factories import key_for

pytestmark = pytest.mark.django_db

ADD = "admin:users_apikey_add"
PLAIN = re.compile(r"nk_(?:live|test)_[0-9a-f]{12}\.[\w-]{43}")


def posted(organization: Organization, **fields: Any) -> dict[str, Any]:
    return {
        "organization": str(organization.pk),
        "name": "Shop",
        "scopes": ["notifications:write", "users:read"],
        "live": "False",
        **fields,
    }


def test_the_key_is_shown_once_and_works(door: Client, client: Client, organization: Organization) -> None:
    shown = PLAIN.findall(text_of(door.post(reverse(ADD), posted(organization), follow=True)))
    assert len(shown) == 1
    key = ApiKey.objects.get()
    prefix, _, secret = shown[0].partition(".")
    assert (key.prefix, key.live, key.scopes) == (prefix, False, ["notifications:write", "users:read"])
    assert key.matches(secret)
    answer = client.get("/api/v1/users/", headers={"Authorization": f"Api-Key {shown[0]}"})
    assert answer.status_code == 200
    for page in (
        reverse("admin:users_apikey_changelist"),
        reverse("admin:users_apikey_change", args=[key.pk]),
    ):
        again = text_of(door.get(page))
        assert secret not in again
        assert key.key_hash not in again


def test_changing_a_key_keeps_its_secret_and_scopes(door: Client, organization: Organization) -> None:
    key, plain = ApiKey.objects.issue(organization=organization, name="Shop")
    page = reverse("admin:users_apikey_change", args=[key.pk])
    fields = posted(organization, name="Shop 2", prefix="nk_mine", key_hash="0", scopes=["users:write"])
    answer = door.post(page, fields, follow=True)
    assert not PLAIN.search(text_of(answer))
    changed = ApiKey.objects.get()
    assert changed.name == "Shop 2"
    assert (changed.prefix, changed.key_hash, changed.scopes) == (key.prefix, key.key_hash, key.scopes)


def test_a_limit_is_given_and_changed(door: Client, organization: Organization) -> None:
    door.post(reverse(ADD), posted(organization, rate_limit="5"))
    key = ApiKey.objects.get()
    assert key.rate_limit == 5
    page = reverse("admin:users_apikey_change", args=[key.pk])
    for given, wanted in (("7", 7), ("", None)):
        assert door.post(page, posted(organization, rate_limit=given)).status_code == 302
        assert ApiKey.objects.get().rate_limit == wanted
    for given in ("0", "-1", "1000001", "many"):
        answer = door.post(page, posted(organization, rate_limit=given))
        assert list(answer.context["adminform"].errors) == ["rate_limit"]


def test_a_revoked_key_is_refused(door: Client, client: Client, organization: Organization) -> None:
    plain = key_for(organization)
    door.post(
        reverse("admin:users_apikey_changelist"),
        {"action": "revoke", "_selected_action": [str(ApiKey.objects.get().pk)]},
    )
    assert ApiKey.objects.get().revoked_at is not None
    assert client.get("/api/v1/users/", headers={"Authorization": f"Api-Key {plain}"}).status_code == 401


def test_staff_hand_out_no_more_than_they_have(organization: Organization, staff: Any) -> None:
    door = staff(organization, role="operator")
    assert door.post(reverse(ADD), posted(organization)).status_code == 200
    assert not ApiKey.objects.exists()
    assert door.post(reverse(ADD), posted(organization, scopes=["users:read"])).status_code == 302
