"""Who answers that they want no more messages gets none, from each organization that had sent them one."""

import pytest

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.channels.tracking import Reply
from apps.notifications.feedback.replies import LIFTED, REASON
from apps.notifications.feedback.tracking_events import record
from apps.notifications.models import Event, Suppression
from apps.users.recipient_hashes import recipient_hash
from tests.conftest import post
from tests.support.factories import OrganizationFactory

ADDRESS = "ada@example.com"


def reply(key, *, refuses=True, recipient=ADDRESS):
    return record("relay", [Reply(key * 64, recipient, refuses)])


@pytest.fixture
def sent(api, version):
    post(api, recipient={"email": ADDRESS})
    DELIVERIES["email"].objects.update(provider="relay", status="sent")
    return DELIVERIES["email"].objects.get()


def states():
    return list(Suppression.objects.order_by("id").values_list("reason", "created_by", "lift_reason"))


def test_a_refusal_suppresses_the_address_and_is_in_the_timeline(sent, api):
    assert reply("a") == 1
    row = Suppression.objects.get()
    assert (row.organization_id, row.channel, row.recipient_hash) == (
        sent.organization_id, "email", recipient_hash("email", ADDRESS),
    )  # fmt: skip
    assert states() == [(REASON, "recipient", "")]
    event = Event.objects.get(delivery_id=sent.pk, kind="replied")
    assert event.data == {"source": "relay", "refuses": "true"}
    answer = post(api, recipient={"email": ADDRESS}).json()
    assert answer["data"]["deliveries"][0]["reason"] == "suppressed"


def test_the_same_reply_again_changes_nothing(sent):
    assert [reply("a"), reply("a")] == [1, 0]
    Suppression.objects.active().lift(by="somebody", reason="x")
    assert reply("a") == 0
    assert not Suppression.objects.active().exists()


def test_asking_again_lifts_what_a_reply_has_suppressed_alone(sent):
    reply("a")
    assert reply("b", refuses=False) == 1
    assert states() == [(REASON, "recipient", LIFTED)]
    Suppression.objects.create(
        organization_id=sent.organization_id, channel="email", recipient_hash=sent.recipient_hash, reason="bounced"
    )  # fmt: skip
    reply("c", refuses=False)
    assert Suppression.objects.active().get().reason == "bounced"


def test_any_spelling_is_the_same_address(sent):
    assert reply("a", recipient="Ada@EXAMPLE.com") == 1
    assert Suppression.objects.active().count() == 1


@pytest.mark.parametrize("change", ["another account", "a test key's", "nobody"])
def test_a_reply_to_nothing_that_was_sent_suppresses_nobody(change, sent):
    if change == "another account":
        DELIVERIES["email"].objects.update(provider="other")
    elif change == "a test key's":
        type(sent.notification).objects.update(live=False)
    assert reply("a", recipient="bob@example.com" if change == "nobody" else ADDRESS) == 1
    assert not Suppression.objects.exists()


def test_other_organizations_are_not_concerned(sent):
    OrganizationFactory()
    reply("a")
    assert Suppression.objects.count() == 1


def test_an_erased_address_is_not_stored_again(sent):
    DELIVERIES["email"].objects.update(email="")
    reply("a")
    assert Suppression.objects.get().recipient == ""
