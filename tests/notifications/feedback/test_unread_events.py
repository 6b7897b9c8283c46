"""Tracking events in an unknown shape: kept, shown, and read again once it is known."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db.models.functions import Now

from apps.admin.doctor import work
from apps.notifications.channels.email.providers.resend.events import Events
from apps.notifications.feedback import unread_events
from apps.notifications.models import ProviderEvent, UnreadEvent
from apps.notifications.scheduler import gauges
from tests.notifications.feedback.test_tracking_events import (  # noqa: F401
    MESSAGE_ID,
    accounts,
    mailgun_form,
    reported,
    row,
    service,
    taken,
)
from tests.support.event_bodies import BODIES, UNISENDER_AUTH
from tests.support.routes import refused

SHAPES = {
    "sparkpost": [{"msys": {"a": {}, "b": {}}}],
    "postmark": {"RecordType": "Bounce", "Type": ["HardBounce"], "Metadata": {}},
    "resend": {"type": "email.bounced", "data": {"email_id": "x", "bounce": "hard"}},
    "mailersend": {"type": "activity.sent", "data": {"type": "sent", "email": ["x"]}},
    "brevo": {"event": ["hard_bounce"]},
    "sendgrid": [{"event": ["bounce"], "sg_event_id": "x"}],
    "mailjet": {"event": ["bounce"]},
    "mandrill": [{"event": ["send"]}],
    "mailtrap": {"events": [{"event": ["bounce"]}]},
    "postal": {"payload": {"status": ["Sent"]}, "uuid": "x"},
    "unisender_go": {"auth": UNISENDER_AUTH, "events_by_user": 7},
}


@pytest.mark.parametrize("name", SHAPES)
def test_an_unknown_shape_is_kept_and_comes_again(name, row, service):  # noqa: F811
    for times in (1, 2):
        answer = service(name).send(SHAPES[name], number="1")
        refused(answer, 503, "events_unread")
        assert answer["Retry-After"] == "3600"
        event = UnreadEvent.objects.get()
        assert (event.source, event.state, event.times) == (name, "open", times)
        assert event.error
    assert not ProviderEvent.objects.exists()


def test_a_form_is_kept_too(row, client):  # noqa: F811
    fields = mailgun_form(happened="no idea", recipient="kim@example.com")
    refused(client.post("/api/v1/providers/mailgun/events/", fields), 503, "events_unread")
    event = UnreadEvent.objects.get()
    assert "no idea" in event.body
    assert event.content_type.startswith("multipart/form-data; boundary=")


def test_one_of_many_keeps_no_other(row, service):  # noqa: F811
    reported(row, "sparkpost")
    (known,) = BODIES["sparkpost"]("delivered", {}, MESSAGE_ID, 1)
    refused(service("sparkpost").send([{"msys": {"a": 1, "b": 2}}, known, 7]), 503, "events_unread")
    row.refresh_from_db()
    assert row.status == "delivered"
    assert UnreadEvent.objects.count() == 2


def reread(*arguments):
    out = StringIO()
    call_command("reread_events", *arguments, stdout=out)
    return out.getvalue()


def test_a_release_that_knows_the_shape_reads_it(row, service, monkeypatch):  # noqa: F811
    reported(row, "resend")
    teller = service("resend")
    body = {"type": "email.delivered", "data": {"email": {"id": MESSAGE_ID}, "to": "kim@example.com"}}

    def unknown(self, event):
        raise KeyError("email_id")

    monkeypatch.setattr(Events, "shaped", unknown)
    refused(teller.send(body, number="9"), 503, "events_unread")
    assert "KeyError: 'email_id'" in reread()
    assert reread("--provider", "brevo") == "Every event could be read.\n"

    def known(self, event):
        return event | {"data": {"email_id": event["data"]["email"]["id"]}}

    monkeypatch.setattr(Events, "shaped", known)
    assert [json.loads(line)["read"] for line in reread("--json").splitlines()] == [True]
    row.refresh_from_db()
    assert row.status == "delivered"
    event = UnreadEvent.objects.get()
    assert (event.state, event.body, event.closed_by) == ("read", "", "command:reread_events")
    # Reported again meanwhile: it is the same event.
    taken(teller.send(body, number="9"), 0)
    assert reread() == "Every event could be read.\n"


def test_what_is_kept_has_a_bound(row, service, monkeypatch):  # noqa: F811
    monkeypatch.setattr(unread_events, "OPEN_LIMIT", 2)
    for number in range(4):
        refused(service("sparkpost").send([{"msys": {"a": number, "b": 2}}]), 503, "events_unread")
    assert UnreadEvent.objects.count() == 2
    refused(service("brevo").send({"event": ["x"]}), 503, "events_unread")
    assert UnreadEvent.objects.filter(source="brevo").count() == 1


@pytest.fixture
def kept(row, service):  # noqa: F811
    service("brevo").send({"event": ["x"], "email": "Kim@Example.com"})
    return UnreadEvent.objects.get()


def test_an_operator_sees_it(kept, admin_client):
    page = admin_client.get("/admin/notifications/unreadevent/").content.decode()
    assert "brevo" in page
    shown = admin_client.get(f"/admin/notifications/unreadevent/{kept.pk}/change/").content.decode()
    assert "Kim@Example.com" not in shown
    assert "@Example.com" in shown
    assert gauges._unread().samples[0].value == 1
    (finding,) = work.events()
    assert "1 of brevo" in finding.sentence
    assert "reread_events" in finding.remedy


def test_an_operator_ignores_it_and_it_is_purged(kept, admin_client):
    admin_client.post(
        "/admin/notifications/unreadevent/", {"action": "ignore", "_selected_action": [str(kept.pk)]}
    )
    kept.refresh_from_db()
    assert (kept.state, kept.body) == ("ignored", "")
    UnreadEvent.objects.update(closed_at=Now() - timedelta(days=91))
    call_command("purge", stdout=StringIO())
    assert not UnreadEvent.objects.exists()


def test_an_erased_person_is_forgotten_in_it(kept, user):
    user.email = "kim@example.com"
    user.save()
    call_command("erase_user", str(user.pk), stdout=StringIO())
    kept.refresh_from_db()
    assert (kept.state, kept.body) == ("ignored", "")
