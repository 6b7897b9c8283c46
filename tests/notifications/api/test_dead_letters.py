"""The API of dead letters, and receipts from gateways."""

import pytest

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.notifications.models import DeadLetter, Suppression
from apps.users.models import Device
from tests.conftest import client_for, post, settled, timeline

DEAD_LETTERS = "/api/v1/dead-letters/"


@pytest.fixture
def failed(api, user, version, smtp, worker):
    smtp.scripts["rcpt"] = "554 5.7.1 not from you"
    for number in range(3):
        post(api, user, channels=["email"], request_id=f"request-{number}")
    settled("failed")
    smtp.scripts["rcpt"] = "250 ok"


def test_letters_are_listed_filtered_replayed_once_and_discarded(api, failed, smtp):
    shown = api.get(DEAD_LETTERS).json()["data"]
    assert len(shown) == 3
    assert {(row["state"], row["code"], row["template"]) for row in shown} == {
        ("open", "policy_refused", "hello")
    }
    assert len(api.get(DEAD_LETTERS, {"request_id": "request-1"}).json()["data"]) == 1
    assert not api.get(DEAD_LETTERS, {"state": "replayed"}).json()["data"]

    dry = api.post(f"{DEAD_LETTERS}replay/", {"dry_run": True}).json()["data"]
    assert (dry["replayed"], len(dry["ids"])) == (3, 3)
    assert set(EmailLog.objects.values_list("status", flat=True)) == {"failed"}

    discarded = api.post(f"{DEAD_LETTERS}{shown[0]['id']}/discard/").json()["data"]
    assert discarded["state"] == "discarded"
    done = api.post(f"{DEAD_LETTERS}replay/", {"reason": "policy_refused"}).json()["data"]
    assert (done["replayed"], done["skipped"]) == (2, 0)
    assert api.post(f"{DEAD_LETTERS}replay/", {}).json()["data"]["replayed"] == 0
    settled("sent", "failed")
    assert len(smtp.wait_for(2)) == 2
    assert timeline(shown[0]["notification_id"])[-1][0] == "discarded"


def test_another_organization_replays_nothing(failed):
    from tests.support.factories import OrganizationFactory

    stranger = client_for(OrganizationFactory())
    assert stranger.get(DEAD_LETTERS).json()["data"] == []
    assert stranger.post(f"{DEAD_LETTERS}replay/", {}).json()["data"]["replayed"] == 0
    dead_letter = DeadLetter.objects.first()
    assert stranger.post(f"{DEAD_LETTERS}{dead_letter.pk}/discard/").status_code == 404


@pytest.fixture
def sent(api, user, version, db):
    """One notification whose email and push a provider accepted."""
    post(api, user)
    for model in (EmailLog, PushLog):
        model.objects.update(status="sent", provider_message_id="gateway-1")
    return EmailLog.objects.get(), PushLog.objects.get()


def report(api, channel, row, status, **fields):
    return api.post(f"/api/v1/{channel}/status/", {"delivery_id": str(row.pk), "status": status, **fields})


@pytest.mark.parametrize(
    ("before", "word", "after"),
    [
        ("sent", "delivered", "delivered"),
        ("sent", "bounced", "bounced"),
        ("unknown", "sent", "sent"),
        ("unknown", "delivered", "delivered"),
        ("delivered", "sent", "delivered"),
        ("delivered", "bounced", "delivered"),
        ("bounced", "delivered", "bounced"),
        ("failed", "delivered", "failed"),
        ("queued", "delivered", "queued"),
        ("cancelled", "sent", "cancelled"),
    ],
)
@pytest.mark.parametrize("channel", ["email", "push"])
def test_the_best_status_wins(channel, before, word, after, api, sent):
    row = sent[channel == "push"]
    type(row).objects.update(status=before)
    answer = report(api, channel, row, word, detail="as the gateway said")
    assert answer.status_code == 200
    assert answer.json()["data"] == {"delivery_id": str(row.pk), "status": after, "moved": before != after}
    row.refresh_from_db()
    assert row.status == after
    assert (timeline(row.notification_id)[-1][0] == word) is (before != after)


@pytest.mark.parametrize("channel", ["email", "push"])
def test_one_that_is_quicker_than_our_record_is_asked_for_again(channel, api, sent):
    row = sent[channel == "push"]
    type(row).objects.update(status="sending")
    answer = report(api, channel, row, "delivered")
    assert (answer.status_code, answer.json()["error"], answer["Retry-After"]) == (409, "in_hand", "5")
    type(row).objects.update(status="sent")
    assert report(api, channel, row, "delivered").json()["data"]["moved"] is True


def test_a_receipt_finds_its_delivery_by_the_providers_id(api, sent):
    answer = api.post("/api/v1/email/status/", {"provider_message_id": "gateway-1", "status": "delivered"})
    assert answer.json()["data"]["moved"] is True


def test_a_permanent_bounce_suppresses_the_address_and_retires_the_device(api, sent):
    email, push = sent
    report(api, "email", email, "bounced", permanent=True)
    report(api, "push", push, "bounced", permanent=True)
    assert Suppression.objects.active().get().recipient_hash == email.recipient_hash
    assert Device.objects.get().retired_at is not None


def test_a_passing_bounce_suppresses_nobody(api, sent):
    report(api, "email", sent[0], "bounced")
    assert not Suppression.objects.exists()


def test_a_late_receipt_closes_the_dead_letter_of_an_unknown(api, sent):
    email, _ = sent
    EmailLog.objects.update(status="unknown")
    DeadLetter.objects.create(
        organization=email.organization, delivery_id=email.pk, channel="email", reason="unknown"
    )
    report(api, "email", email, "delivered")
    assert DeadLetter.objects.get().state == "discarded"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"status": "delivered"}, "delivery_id"),
        ({"delivery_id": "x", "status": "delivered"}, "delivery_id"),
        ({"delivery_id": "{id}", "provider_message_id": "x", "status": "sent"}, "delivery_id"),
        ({"delivery_id": "{id}", "status": "read"}, "status"),
        ({"delivery_id": "{id}", "status": "failed"}, "status"),
        ({"delivery_id": "{id}", "status": "sent", "detail": "a\r\nb"}, "detail"),
        ({"delivery_id": "{id}", "status": "sent", "colour": "red"}, "colour"),
    ],
)
def test_a_bad_receipt_is_named(body, field, api, sent):
    body = {key: value.replace("{id}", str(sent[0].pk)) for key, value in body.items()}
    answer = api.post("/api/v1/email/status/", body)
    assert answer.status_code == 400
    assert field in [entry["field"] for entry in answer.json()["errors"]]


def test_another_organizations_delivery_is_not_there(sent):
    from tests.support.factories import OrganizationFactory

    assert report(client_for(OrganizationFactory()), "email", sent[0], "delivered").status_code == 404
