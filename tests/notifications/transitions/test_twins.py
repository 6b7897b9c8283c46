"""What stands twice for the local default's sake does the same: each operation's two forms, run on one database."""

import pytest
from django.conf import settings as project

from apps.notifications.acceptance import planning
from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.outcome import Outcome, Result
from apps.notifications.models import DeadLetter, Event, ProviderState, Suppression, from_now
from apps.notifications.models.deliveries import ClaimedDelivery
from apps.notifications.routing import circuit_breaker
from apps.notifications.transitions import claims, outcomes
from apps.notifications.transitions.attempts import DeliveryAttempt
from apps.users.models import NotificationPreference
from apps.users.preferences.recipients import read_people
from apps.users.recipient_hashes import recipient_hash
from tests.conftest import client_for, post
from tests.support.factories import OrganizationFactory, UserFactory, template_with

pytestmark = pytest.mark.skipif(not project.ON_POSTGRES, reason="Elsewhere there is one form.")

FORMS = ("postgresql", "twin")
SENT = Outcome(Result.SENT, "accepted", "250 queued as 4F", provider_message_id="4F")


@pytest.fixture(params=FORMS)
def form(request):
    return request.param


@pytest.fixture
def rows(api, user, version, unpublished, transactional_db):
    for priority in (5, 9, 4, 4):
        assert post(api, user, channels=["email"], priority=priority).status_code == 202
    return list(EmailLog.objects.order_by("id"))


def claimed(found):
    return {*(one.pk for one in found.plain), *found.to_recheck}


class TestClaims:
    def named(self, form, rows, **more):
        claim = getattr(claims.claim_named, form)
        return claimed(claim(EmailLog, [str(row.pk) for row in rows], token="t", lease=60, **more))

    def test_those_named_that_are_due(self, form, rows):
        EmailLog.objects.filter(pk=rows[0].pk).update(due_at=from_now(60))
        EmailLog.objects.filter(pk=rows[1].pk).update(status="sent")
        assert self.named(form, rows) == {rows[2].pk, rows[3].pk}
        row = EmailLog.objects.get(pk=rows[2].pk)
        assert (row.status, row.fence, row.claimed_by) == ("sending", 1, "t")
        assert row.lease_until is not None
        assert self.named(form, rows) == set(), "once"

    def test_an_organization_that_is_left_out(self, form, rows):
        assert self.named(form, rows, excluded=[rows[0].organization_id]) == set()

    def test_the_next_of_an_organization(self, form, rows):
        claim = getattr(claims.claim_next_of, form)
        found = claim(EmailLog, rows[0].organization_id, most=1, token="t", lease=60)
        assert claimed(found) == {rows[0].pk}

    def test_a_bulk_lane(self, form, rows):
        claim = getattr(claims.claim_bulk_of, form)
        for expected in ({rows[2].pk}, {rows[3].pk}, set()):
            found = claim(EmailLog, rows[0].organization_id, most=1, token="t", lease=60)
            assert claimed(found) == expected

    def test_whose_bulk_lanes_hold_anything(self, form, rows):
        other = OrganizationFactory()
        template_with(other)
        post(client_for(other), UserFactory(organization=other), channels=["email"], priority=5)
        assert getattr(claims.organizations_waiting, form)(EmailLog) == [rows[0].organization_id]


def attempt_of(row):
    EmailLog.objects.filter(pk=row.pk).update(status="sending", fence=3, attempts=1, error_code="greylisted")
    (loaded,) = EmailLog.objects.filter(pk=row.pk).complete()
    return DeliveryAttempt(ClaimedDelivery.of(loaded)).ended(SENT, "relay")


class TestMarkSent:
    COLUMNS = ("status", "attempts", "provider", "provider_message_id", "error_code", "error_detail", "fence")

    def test_the_row_and_its_timeline(self, rows):
        seen = []
        for row, form in zip(rows, FORMS, strict=False):
            getattr(outcomes.mark_sent, form)([attempt_of(row)])
            stored = EmailLog.objects.get(pk=row.pk)
            assert stored.sent_at is not None
            assert stored.finished_at is not None
            assert stored.lease_until is None
            (entry,) = Event.objects.filter(delivery_id=row.pk, kind="sent")
            seen.append([[getattr(stored, name) for name in self.COLUMNS], entry.data, entry.channel])
        assert seen[0] == seen[1]
        assert seen[0][0][:3] == ["sent", 2, "relay"]

    def test_another_claims_row_is_left(self, form, rows):
        attempt = attempt_of(rows[0])
        EmailLog.objects.filter(pk=rows[0].pk).update(fence=4)
        getattr(outcomes.mark_sent, form)([attempt])
        assert EmailLog.objects.get(pk=rows[0].pk).status == "sending"
        assert not Event.objects.filter(kind="sent").exists()

    def test_a_late_answer_closes_the_dead_letter(self, form, rows):
        attempt = attempt_of(rows[0])
        EmailLog.objects.filter(pk=rows[0].pk).update(lease_until=from_now(-1), status="sending")
        (row,) = EmailLog.objects.filter(pk=rows[0].pk).complete()
        assert outcomes.unknown(row, "sender_lost", "It stopped.", attempts=2)
        assert DeadLetter.objects.get().state == "open"
        getattr(outcomes.mark_sent, form)([attempt])
        assert EmailLog.objects.get(pk=row.pk).status == "sent"
        assert (DeadLetter.objects.get().state, DeadLetter.objects.get().closed_by) == (
            "discarded",
            "late answer",
        )


def test_an_open_circuit(form, db):
    opened = getattr(circuit_breaker._opened, form)
    assert opened("relay") is None
    ProviderState.objects.create(name="relay", open_until=from_now(30), code="throttled", detail="slow down")
    left, code, detail = opened("relay")
    assert 28 < left <= 30
    assert (code, detail) == ("throttled", "slow down")


def test_what_a_request_needs_to_know(form, organization, user, version):
    hashed = recipient_hash("email", user.email)
    Suppression.objects.create(
        organization=organization, channel="email", recipient_hash=hashed, reason="bounced"
    )
    look_up = getattr(planning._look_up, form)
    templates, suppressed, _ = look_up(organization, {"hello", "other"}, [hashed], set(), live=True)
    assert [template.code for template in templates] == ["hello"]
    assert suppressed == {("email", hashed)}


def test_who_a_request_is_to(form, organization, user):
    NotificationPreference.objects.create(user=user, channel="push", enabled=False)
    UserFactory(organization=organization)
    found = getattr(read_people, form)(organization, set(), {"email": ["ada@example.com"]}, [])
    assert list(found.users) == [user.pk]
    assert [device.token for device in found.devices[user.pk]] == ["ada-phone-token-0001"]
    assert found.choices == {user.pk: {(None, "push"): False}}
