"""The admin pages of dead letters: listed, searched, replayed, discarded."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.admin.messages import dead_letters
from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import DeadLetter, Event
from apps.notifications.queue.broker import publisher
from apps.templates.models import TemplateVersion
from apps.users.models import Organization, User
from tests.admin.conftest import failed_rows, messages_of, text_of
from tests.support.factories import OrganizationFactory, UserFactory

pytestmark = pytest.mark.django_db

PAGE = "admin:notifications_deadletter_changelist"


@pytest.fixture(autouse=True)
def wakes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would be published: the test's transaction never commits, so no worker could see it."""
    found: list[Any] = []
    monkeypatch.setattr(publisher, "wake", found.extend)
    return found


def act(door: Client, action: str, *selected: DeadLetter) -> Any:
    posted = {"action": action, "_selected_action": [str(dead_letter.pk) for dead_letter in selected]}
    return door.post(reverse(PAGE), posted, follow=True)


def test_replay_queues_once(
    door: Client,
    root: User,
    failed: SimpleNamespace,
    wakes: list[Any],
    django_capture_on_commit_callbacks: Any,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        assert "Dead letters replayed: 1." in messages_of(act(door, "replay", failed.dead_letter))
        assert "Dead letters replayed: 0." in messages_of(act(door, "replay", failed.dead_letter))
    row = EmailLog.objects.get()
    assert (row.status, row.epoch, row.attempts) == ("queued", 1, 0)
    dead_letter = DeadLetter.objects.get()
    assert (dead_letter.state, dead_letter.closed_by) == ("replayed", f"user:{root.pk}")
    assert [wake.id for wake in wakes] == [str(row.pk)]
    assert Event.objects.filter(kind="replayed").count() == 1
    page = reverse("admin:notifications_notification_change", args=[failed.notification.pk])
    assert "by: r***@example.com" in text_of(door.get(page))


def test_what_may_have_arrived_needs_its_own_action(
    door: Client, user: User, version: TemplateVersion
) -> None:
    rows = failed_rows(user, version, reason="unknown")
    assert "Dead letters replayed: 0." in messages_of(act(door, "replay", rows.dead_letter))
    assert EmailLog.objects.get().status == "unknown"
    assert "Dead letters replayed: 1." in messages_of(act(door, "replay_unknown", rows.dead_letter))
    assert EmailLog.objects.get().status == "queued"


def test_discard_closes_once(door: Client, root: User, failed: SimpleNamespace) -> None:
    assert "Dead letters discarded: 1." in messages_of(act(door, "discard", failed.dead_letter))
    assert "Dead letters discarded: 0." in messages_of(act(door, "discard", failed.dead_letter))
    dead_letter = DeadLetter.objects.get()
    assert (dead_letter.state, dead_letter.closed_by) == ("discarded", f"user:{root.pk}")
    assert dead_letter.closed_at is not None
    assert Event.objects.filter(kind="discarded").count() == 1
    assert "Dead letters replayed: 0." in messages_of(act(door, "replay", failed.dead_letter))


def test_a_foreign_message_is_shown_and_discarded_but_not_replayed(door: Client) -> None:
    dead_letter = DeadLetter.objects.create(
        reason="undecodable", queue="email", body=b"\xff<oops>", body_hash="1" * 64
    )
    page = text_of(door.get(reverse("admin:notifications_deadletter_change", args=[dead_letter.pk])))
    assert "\\xff&lt;oops&gt;" in page
    assert 'value="replay"' not in page
    assert 'value="discard"' in page
    assert "Dead letters replayed: 0." in messages_of(act(door, "replay", dead_letter))
    assert "Dead letters discarded: 1." in messages_of(act(door, "discard", dead_letter))


def test_an_action_takes_a_bounded_number(
    door: Client, failed: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "AT_ONCE", 1)
    other = DeadLetter.objects.create(reason="undecodable", body_hash="1" * 64)
    assert "Dead letters discarded: 1." in messages_of(act(door, "discard", failed.dead_letter, other))
    assert DeadLetter.objects.filter(state="open").get() == other


def test_the_list_shows_recipient_and_request_and_begins_with_the_open_ones(
    door: Client, failed: SimpleNamespace
) -> None:
    page = reverse(PAGE)
    shown = text_of(door.get(page))
    assert "<h1>Dead letters</h1>" in shown
    assert "a***@example.com" in shown
    assert failed.notification.request_id in shown
    act(door, "discard", failed.dead_letter)

    def listed(query: str) -> int:
        return len(door.get(page + query).context["cl"].result_list)

    queries = ("", "?state=open", "?state=discarded", "?state=all", f"?q={failed.notification.request_id}")
    assert [listed(query) for query in queries] == [0, 0, 1, 1, 1]


def test_a_list_costs_the_same_for_many(door: Client, user: User, version: TemplateVersion) -> None:
    def cost(name: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert door.get(reverse(f"admin:notifications_{name}_changelist")).status_code == 200
        return len(queries)

    failed_rows(user, version)
    before = [cost("deadletter"), cost("notification")]
    for _ in range(3):
        failed_rows(UserFactory(organization=user.organization), version)
    assert [cost("deadletter"), cost("notification")] == before


@pytest.mark.parametrize(
    ("reason", "status"), [("rejected", "replay"), ("unknown", "replay_unknown")], ids=["failed", "unknown"]
)
def test_an_open_dead_letters_page_offers_its_actions(
    reason: str, status: str, door: Client, user: User, version: TemplateVersion
) -> None:
    rows = failed_rows(user, version, reason=reason)
    page = reverse("admin:notifications_deadletter_change", args=[rows.dead_letter.pk])
    shown = text_of(door.get(page))
    assert f'name="action" value="{status}" formaction="{reverse(PAGE)}"' in shown
    assert 'name="action" value="discard"' in shown
    assert f'name="_selected_action" value="{rows.dead_letter.pk}"' in shown
    assert "foreign message" not in shown.lower()

    answer = act(door, status, rows.dead_letter)
    assert "Dead letters replayed: 1." in messages_of(answer)
    story = reverse("admin:notifications_notification_change", args=[rows.notification.pk])
    assert f'<a href="{story}">' in text_of(answer)
    assert 'name="action"' not in text_of(door.get(page))


def test_a_dead_letters_page_offers_nothing_to_read_only_staff(
    failed: SimpleNamespace, organization: Organization, staff: Any
) -> None:
    page = reverse("admin:notifications_deadletter_change", args=[failed.dead_letter.pk])
    assert 'name="action"' not in text_of(staff(organization, "view_deadletter").get(page))


def test_other_staff_cant_act(failed: SimpleNamespace, organization: Organization, staff: Any) -> None:
    for door in (staff(OrganizationFactory()), staff(organization, "view_deadletter")):
        for action in ("replay", "replay_unknown", "discard"):
            act(door, action, failed.dead_letter)
    assert DeadLetter.objects.get().state == "open"
    act(staff(organization, "view_deadletter", "change_deadletter"), "replay", failed.dead_letter)
    assert DeadLetter.objects.get().state == "replayed"
