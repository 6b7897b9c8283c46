"""Doubtful suppressions are found and lifted; those of dead addresses stay."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.notifications.models import Suppression

pytestmark = pytest.mark.django_db

DOUBTFUL = {
    "a1@example.com": ("mailbox_unknown", "rcpt: 550 relaying is not permitted", "policy_refused"),
    "a2@example.com": ("mailbox_unknown", "rcpt: 550 a2@example.com refused", "says nothing"),
    "a3@example.com": ("mailbox_unknown", "rcpt: 550 the mailbox is over its quota", "mailbox_full"),
    "a4@example.com": ("mailbox_disabled", "rcpt: 550 5.2.1 this person gets mail too fast", "rate_limited"),
    "a5@example.com": ("bounced", "5.1.3 550 5.1.3 listed on a block list", "policy_refused"),
}
KEPT = {
    "b1@example.com": ("mailbox_unknown", "rcpt: 550 no such user here"),
    "b2@example.com": ("mailbox_unknown", "rcpt: 550 5.1.1 nobody"),
    "b3@example.com": ("bounced", "5.1.1 550 5.1.1 unknown"),
    "b4@example.com": ("bounced", "HardBounce"),
    "b5@example.com": ("bounced", ""),
    "b6@example.com": ("complaint", "abuse"),
    "b7@example.com": ("by_hand", "blocked"),
}


@pytest.fixture
def suppressions(organization):
    for address, (reason, detail, *_) in (DOUBTFUL | KEPT).items():
        Suppression.objects.create(
            organization=organization, channel="email", recipient=address, recipient_hash=address,
            reason=reason, detail=detail, created_by="jo" if reason == "by_hand" else "",
        )  # fmt: skip


def recheck(*arguments):
    out = StringIO()
    call_command("recheck_suppressions", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.usefixtures("suppressions")
def test_what_is_in_doubt_is_listed():
    entries = [json.loads(line) for line in recheck("--json").splitlines()]
    assert [(one["reason"], one["read_as"]) for one in entries] == [
        (reason, meaning) for reason, _, meaning in DOUBTFUL.values()
    ]
    assert "a2@example.com" not in json.dumps(entries)
    assert Suppression.objects.active().count() == len(DOUBTFUL | KEPT)
    shown = recheck()
    assert shown.endswith("5 in doubt. None was lifted: --lift does it.\n")
    assert "550 relaying is not permitted" in shown


@pytest.mark.usefixtures("suppressions")
def test_they_are_lifted_once(organization):
    assert "5 lifted." in recheck("--lift", "--organization", organization.slug)
    assert set(Suppression.objects.active().values_list("recipient", flat=True)) == set(KEPT)
    lifted = Suppression.objects.exclude(lifted_at=None)
    assert set(lifted.values_list("lifted_by", flat=True)) == {"command:recheck_suppressions"}
    assert recheck("--lift") == "None is in doubt.\n"


def test_an_unknown_organization_is_a_usage_error():
    with pytest.raises(CommandError, match="no organization 'nobody'") as caught:
        recheck("--organization", "nobody")
    assert caught.value.returncode == 2
