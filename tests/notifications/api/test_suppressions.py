"""The API of suppressions: list, create, lift with a reason, and a new hard bounce after that."""

import pytest

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import Suppression
from apps.users.recipient_hashes import recipient_hash
from tests.conftest import client_for, post, settled
from tests.support.factories import OrganizationFactory
from tests.support.routes import refused, stored

URL = "/api/v1/suppressions/"


def suppress(api, recipient="ada@example.com", **fields):
    answer = api.post(URL, {"channel": "email", "recipient": recipient, **fields}, format="json")
    assert answer.status_code in (200, 201), answer.content
    return answer


def listed(api, **filters):
    answer = api.get(URL, filters)
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["data"]]


def lift(api, pk, reason="The mailbox is back."):
    return api.post(f"{URL}{pk}/lift/", {"reason": reason}, format="json")


def test_one_is_made_and_nothing_is_sent_there(api, user, version, db):
    answer = suppress(api, "Ada@Example.com", reason="asked", detail="By phone.")

    assert answer.status_code == 201
    shown = answer.json()["data"]
    assert (shown["channel"], shown["reason"], shown["detail"]) == ("email", "asked", "By phone.")
    assert shown["recipient"] == "A***@Example.com"
    assert shown["created_by"].startswith("key:")
    assert (shown["lifted_at"], shown["lifted_by"], shown["lift_reason"]) == (None, "", "")
    row = post(api, user, channels=["email"]).json()["data"]["deliveries"][0]
    assert row["status"] == "skipped"
    assert EmailLog.objects.get().reason == "suppressed"


def test_one_that_is_there_stays_as_it_was(api):
    first = suppress(api, reason="asked").json()["data"]
    again = suppress(api, "ADA@example.com", reason="other")
    assert (again.status_code, again.json()["data"]) == (200, first)


def test_a_token_is_kept_as_a_hash_alone(api, user, version, db):
    shown = suppress(api, "ada-phone-token-0001", channel="push").json()["data"]
    assert shown["recipient"] == ""
    assert "ada-phone" not in str(stored()["Suppression"])
    row = post(api, user, channels=["push"]).json()["data"]["deliveries"][0]
    assert row["status"] == "skipped"


def test_the_list_is_filtered(api, organization):
    email = suppress(api, reason="asked").json()["data"]["id"]
    push = suppress(api, "a-token-of-somebody", channel="push").json()["data"]["id"]
    gone = suppress(api, "eve@example.com").json()["data"]["id"]
    lift(api, gone)
    Suppression.objects.create(
        organization=OrganizationFactory(), channel="email", recipient_hash="x", reason="asked"
    )

    assert listed(api) == [gone, push, email]
    assert listed(api, channel="push") == [push]
    assert listed(api, reason="asked") == [email]
    assert listed(api, active="true") == [push, email]
    assert listed(api, active="false") == [gone]
    assert listed(api, recipient="ADA@example.com") == [email]
    assert listed(api, recipient="a-token-of-somebody") == [push]
    refused(api.get(URL, {"active": "perhaps"}), 400, "validation_error")
    refused(api.get(URL, {"state": "open"}), 400, "validation_error")


def test_lifting_says_who_when_and_why(api, db):
    pk = suppress(api).json()["data"]["id"]
    refused(lift(api, pk, ""), 400, "validation_error")
    refused(api.post(f"{URL}{pk}/lift/", {}, format="json"), 400, "validation_error")
    assert Suppression.objects.active().exists()

    shown = lift(api, pk).json()["data"]

    assert shown["lifted_at"] is not None
    assert shown["lifted_by"] == shown["created_by"]
    assert shown["lift_reason"] == "The mailbox is back."
    # Only once: the first reason stays.
    assert lift(api, pk, "Another reason.").json()["data"] == shown


def test_another_organizations_is_not_there(api, organization):
    pk = suppress(api).json()["data"]["id"]
    stranger = client_for(OrganizationFactory(slug="other"))
    refused(lift(stranger, pk), 404, "not_found")
    assert listed(stranger) == []
    assert Suppression.objects.active().exists()


@pytest.mark.usefixtures("version", "worker")
def test_a_lifted_address_is_sent_to_until_it_bounces_again(api, user, smtp):
    smtp.scripts["rcpt"] = "550 5.1.1 No such user"
    post(api, user, channels=["email"])
    settled("failed")
    (bounced,) = Suppression.objects.all()
    assert (bounced.recipient, bounced.created_by) == ("ada@example.com", "")
    post(api, user, channels=["email"])
    assert [row.status for row in settled("failed", "skipped")] == ["failed", "skipped"]

    lift(api, bounced.pk)
    smtp.scripts["rcpt"] = "250 2.1.5 ok"
    post(api, user, channels=["email"])
    assert settled("failed", "skipped", "sent")[-1].status == "sent"

    smtp.scripts["rcpt"] = "550 5.1.1 No such user"
    post(api, user, channels=["email"])
    settled("failed", "skipped", "sent")
    assert Suppression.objects.active().get().pk != bounced.pk


def test_one_of_an_erased_person_still_counts(api, user, version, db):
    Suppression.objects.create(
        organization=user.organization,
        channel="email",
        recipient_hash=recipient_hash("email", user.email),
        reason="bounced",
    )
    assert post(api, user, channels=["email"]).json()["data"]["deliveries"][0]["status"] == "skipped"
    assert api.get(URL).json()["data"][0]["recipient"] == ""
