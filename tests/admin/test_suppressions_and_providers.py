"""The admin pages of suppressions and of provider states."""

from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from apps.notifications.models import ProviderState, Suppression, from_now
from apps.users.models import Organization
from apps.users.recipient_hashes import recipient_hash
from tests.admin.conftest import text_of

pytestmark = pytest.mark.django_db

ADD = "admin:notifications_suppression_add"


def posted(organization: Organization, **fields: Any) -> dict[str, Any]:
    return {
        "organization": str(organization.pk),
        "channel": "email",
        "address": "Ada@example.com",
        "reason": "asked",
        **fields,
    }


def test_an_address_is_suppressed_lifted_and_suppressed_again(
    door: Client, organization: Organization
) -> None:
    assert door.post(reverse(ADD), posted(organization)).status_code == 302
    row = Suppression.objects.get()
    assert row.recipient_hash == recipient_hash("email", "ada@example.com")
    again = text_of(door.post(reverse(ADD), posted(organization, address="ADA@example.com")))
    assert "This recipient is already suppressed." in again
    assert row.created_by.startswith("user:")
    chosen = {"action": "lift", "_selected_action": [str(row.pk)]}
    page = reverse("admin:notifications_suppression_changelist")
    assert "Give a reason" in text_of(door.post(page, chosen, follow=True))
    row.refresh_from_db()
    assert row.lifted_at is None
    door.post(page, {**chosen, "reason": "The mailbox is back."})
    row.refresh_from_db()
    assert row.lifted_at is not None
    assert (row.lifted_by, row.lift_reason) == (row.created_by, "The mailbox is back.")
    shown = text_of(door.get(reverse("admin:notifications_suppression_change", args=[row.pk])))
    assert "The mailbox is back." in shown
    assert door.post(reverse(ADD), posted(organization)).status_code == 302
    assert Suppression.objects.active().count() == 1


def test_a_token_is_kept_as_a_hash_only(door: Client, organization: Organization) -> None:
    token = "t" * 400
    assert door.post(reverse(ADD), posted(organization, channel="push", address=token)).status_code == 302
    row = Suppression.objects.get()
    assert (row.recipient, row.recipient_hash) == ("", recipient_hash("push", token))
    found = door.get(reverse("admin:notifications_suppression_changelist"), {"q": token})
    assert list(found.context["cl"].result_list) == [row]


def test_an_address_must_be_one(door: Client, organization: Organization) -> None:
    assert "valid email address" in text_of(door.post(reverse(ADD), posted(organization, address="ada")))


@pytest.mark.parametrize(
    "address", ["ada@[::1]", "ada@example.com\u200b", "ada@xn--a.example", "\u212a@example.com"]
)
def test_an_invalid_address_is_refused(address: str, door: Client, organization: Organization) -> None:
    assert door.post(reverse(ADD), posted(organization, address=address)).status_code == 200
    assert not Suppression.objects.exists()


def test_an_address_is_suppressed_in_every_spelling(door: Client, organization: Organization) -> None:
    assert door.post(reverse(ADD), posted(organization, address="ada@bücher.example")).status_code == 302
    again = text_of(door.post(reverse(ADD), posted(organization, address='"ada"@xn--bcher-kva.example')))
    assert "This recipient is already suppressed." in again
    row = Suppression.objects.get()
    assert row.recipient == "ada@xn--bcher-kva.example"
    page = reverse("admin:notifications_suppression_changelist")
    assert list(door.get(page, {"q": "ADA@BÜCHER.example"}).context["cl"].result_list) == [row]


def test_a_circuit_can_be_closed(door: Client) -> None:
    ProviderState.objects.create(name="smtp", open_until=from_now(60), code="auth_failed")
    door.post(
        reverse("admin:notifications_providerstate_changelist"),
        {"action": "close_circuit", "_selected_action": ["smtp"]},
    )
    assert not ProviderState.objects.filter(open_until__gt=Now()).exists()


def test_circuits_are_not_an_organizations_affair(organization: Organization, staff: Any) -> None:
    ProviderState.objects.create(name="smtp", open_until=from_now(60), code="auth_failed")
    page = reverse("admin:notifications_providerstate_changelist")
    staff(organization).post(page, {"action": "close_circuit", "_selected_action": ["smtp"]})
    assert ProviderState.objects.filter(open_until__gt=Now()).exists()
