"""manage.py erase_user: personal data is erased, the record of what happened stays."""

import json
from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.notifications.channels.tracking import Kind, TrackingEvent
from apps.notifications.feedback.tracking_events import record
from apps.notifications.models import DeadLetter, Event, Notification, Suppression
from apps.notifications.operations import erasure
from apps.users.models import AuditEntry, Device, NotificationPreference, User
from apps.users.recipient_hashes import recipient_hash
from tests.conftest import client_for, post, settled, timeline, wait_until
from tests.support.factories import DeviceFactory, OrganizationFactory, UserFactory, template_with
from tests.support.routes import refused

ADDRESS = "ada@example.com"
SECRETS = (ADDRESS, "ada@", "a***@example.com", "ada-phone", "Ada's phone", "Lovelace")


def erase(*arguments):
    out = StringIO()
    call_command("erase_user", *arguments, "--json", stdout=out, stderr=StringIO())
    return json.loads(out.getvalue())


def later():
    return (timezone.now() + timedelta(hours=1)).isoformat()


def everything():
    """The whole database as text, decrypted where it is encrypted."""
    tables = connection.introspection.table_names()
    found = []
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608
            found += [f"{table}: {row}" for row in cursor.fetchall()]
    found += [str(row.variables) for row in Notification.objects.all()]
    found += [row.token for model in (Device, PushLog) for row in model.objects.all()]
    return "\n".join(found)


@pytest.fixture
def ada(user):
    user.name = "Ada Lovelace"
    user.save()
    Device.objects.update(name="Ada's phone")
    NotificationPreference.objects.create(user=user, channel="push", enabled=True)
    # As the admin's pages leave them behind.
    LogEntry.objects.log_actions(user.pk, [user], CHANGE, change_message="Changed.", single_object=True)
    return user


@pytest.mark.usefixtures("version", "worker")
def test_nothing_is_left_that_tells_who_it_was(api, ada, smtp, fcm, organization):
    smtp.scripts["rcpt"] = f"550 5.1.1 <{ADDRESS}> no such user"
    failed = post(api, ada, variables={"name": "Lovelace"}, metadata={"of": "Ada Lovelace"}).json()["data"][
        "id"
    ]
    settled("failed", "sent")
    waiting = post(api, ada, channels=["push"], scheduled_at=later(), request_id="order-7").json()["data"][
        "id"
    ]
    bare = post(api, recipient={"email": "ADA@example.com"}, channels=["email"]).json()["data"]["id"]
    grace = UserFactory(organization=organization, email="grace@example.com", name="Grace")
    other = post(api, grace, channels=["email"], scheduled_at=later(), variables={"name": "Grace"})
    elsewhere = OrganizationFactory()
    template_with(elsewhere)
    UserFactory(organization=elsewhere, email="someone@example.org")
    before = {row.pk: (row.recipient_hash, row.status) for row in EmailLog.objects.all()}
    shown = everything()
    assert [secret for secret in SECRETS if secret not in shown] == []

    shown = erase(ADDRESS)

    assert shown["user_id"] == str(ada.pk)
    assert shown["erased"] == {
        "notifications": 3,
        "deliveries": 4,
        "cancelled": 1,
        "devices": 1,
        "suppressions": 1,
    }
    left = everything()
    assert [secret for secret in SECRETS if secret.lower() in left.lower()] == []
    # The record of what happened is still there.
    assert timeline(failed)[0] == ("accepted", "")
    assert ("failed", "mailbox_unknown") in timeline(failed)
    assert timeline(waiting) == [("accepted", ""), ("cancelled", "")]
    assert {(row.code, row.state) for row in DeadLetter.objects.all()} == {("mailbox_unknown", "discarded")}
    after = {row.pk: (row.recipient_hash, row.status) for row in EmailLog.objects.all()}
    assert after == before
    assert Notification.objects.get(pk=waiting).request_id == "order-7"
    assert Notification.objects.get(pk=bare).variables == {}
    # Nobody else is touched.
    assert other.json()["data"]["deliveries"][0]["status"] == "scheduled"
    grace.refresh_from_db()
    assert (grace.email, grace.name) == ("grace@example.com", "Grace")
    assert Notification.objects.get(user=grace).variables == {"name": "Grace"}
    assert EmailLog.objects.get(notification__user=grace).status == "queued"
    # The address stays suppressed, by its hash.
    again = post(api, recipient={"email": ADDRESS}, channels=["email"]).json()["data"]["deliveries"][0]
    assert again["status"] == "skipped"


@pytest.mark.usefixtures("version")
def test_the_person_is_gone_for_callers(api, ada, db):
    user_id = str(ada.pk)
    erase(user_id)
    refused(api.get(f"/api/v1/users/{user_id}/"), 404)
    refused(api.get(f"/api/v1/users/{user_id}/devices/"), 404)
    assert api.get("/api/v1/users/").json()["data"] == []
    (error,) = refused(post(api, user_id=user_id), 400)["errors"]
    assert (error["field"], error["code"]) == ("user_id", "not_found")
    row = User.objects.get(pk=ada.pk)
    assert (row.is_active, row.has_usable_password(), row.name, row.is_staff) == (False, False, "", False)
    assert row.erased_at is not None
    assert not NotificationPreference.objects.exists()
    # The address is free for somebody new.
    assert api.post("/api/v1/users/", {"email": ADDRESS}).status_code == 201


@pytest.mark.usefixtures("version")
def test_it_may_be_repeated(api, ada, db):
    post(api, ada)
    first = erase(ADDRESS)
    at = User.objects.get(pk=ada.pk).erased_at
    again = erase(str(ada.pk))
    assert (again["erased"]["notifications"], again["erased"]["cancelled"]) == (1, 0)
    assert first["erased"]["cancelled"] == 2
    assert erase(ADDRESS)["user_id"] is None
    assert User.objects.get(pk=ada.pk).erased_at == at


@pytest.mark.usefixtures("version")
def test_a_run_that_broke_off_is_finished(api, ada, db, monkeypatch):
    post(api, ada)
    monkeypatch.setattr(erasure.Erasure, "_account", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        erase(ADDRESS)
    # Nothing more is accepted for sending meanwhile.
    assert post(api, ada).json()["data"]["status"] == "skipped"
    monkeypatch.undo()
    assert erase(ADDRESS)["erased"]["notifications"] == 2
    assert ADDRESS not in everything()


@pytest.mark.usefixtures("version", "worker")
def test_what_a_sender_had_claimed_is_not_sent_again(api, organization, smtp, time_passes):
    smtp.scripts["rcpt"] = ["450 4.2.1 later", "250 ok"]
    post(api, recipient={"email": ADDRESS}, channels=["email"])
    row = wait_until(lambda: EmailLog.objects.filter(status="queued", attempts=1).first())
    # As if it was being sent, and its refusal came after the erasure.
    EmailLog.objects.update(status="sending")
    assert erase(ADDRESS)["sending"] == 1
    EmailLog.objects.update(status="queued", lease_until=None)
    time_passes()
    (row,) = settled("skipped")
    assert (row.reason, row.email) == ("no_contact", "")
    assert smtp.messages == []


@pytest.mark.usefixtures("version", "worker")
def test_what_is_reported_later_does_not_bring_it_back(api, ada, smtp):
    post(api, ada, channels=["email"])
    (row,) = settled("sent")
    detail = f"<{ADDRESS}> complained"
    event = TrackingEvent(key="1", kind=Kind.COMPLAINED, delivery_id=row.pk, detail=detail)
    assert record("postmark", [event]) == 1
    assert detail in everything()
    erase(ADDRESS)
    assert ADDRESS not in everything()
    Suppression.objects.active().lift(by="key:1", reason="For the test.")

    assert record("postmark", [replace(event, key="2")]) == 1
    bounced = {"delivery_id": str(row.pk), "status": "bounced", "permanent": True, "detail": detail}
    assert api.post("/api/v1/email/status/", bounced).status_code == 200

    assert ADDRESS not in everything()
    assert [kind for kind, _ in timeline(row.notification_id)][-2:] == ["complained", "bounced"]
    assert Suppression.objects.active().get().recipient_hash == recipient_hash("email", ADDRESS)


@pytest.mark.usefixtures("version")
def test_a_moved_token_is_its_new_owners(api, ada, organization, db):
    """The former owner's messages stay; the token in them is erased."""
    former = UserFactory(organization=organization, name="Former")
    DeviceFactory(user=former, token="shared-token-000001")
    sent = post(api, former, channels=["push"], variables={"name": "Former"}).json()["data"]["id"]
    api.post(f"/api/v1/users/{ada.pk}/devices/", {"token": "shared-token-000001", "platform": "ios"})

    erase(str(ada.pk))

    row = PushLog.objects.get(notification=sent)
    assert (row.token, row.status) == ("", "cancelled")
    assert Notification.objects.get(pk=sent).variables == {"name": "Former"}
    assert row.recipient_hash == recipient_hash("push", "shared-token-000001")


def test_it_is_on_record(ada, organization, db):
    erase(ADDRESS)
    (entry,) = AuditEntry.objects.filter(kind="users.user")
    assert (entry.row_id, entry.organization) == (str(ada.pk), organization)
    assert entry.actor.startswith("command:erase_user:")
    assert "erased_at" in entry.after


@pytest.mark.usefixtures("version")
def test_several_organizations_must_be_told_apart(api, ada, db):
    other = OrganizationFactory(slug="other")
    template_with(other)
    post(client_for(other), recipient={"email": ADDRESS}, channels=["email"])
    with pytest.raises(CommandError, match="acme, other") as caught:
        erase(ADDRESS)
    assert caught.value.returncode == 2
    assert EmailLog.objects.get().email == ADDRESS

    erase(ADDRESS, "--organization", "other")

    assert EmailLog.objects.get().email == ""
    ada.refresh_from_db()
    assert ada.email == ADDRESS


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nobody@example.com"], 1),
        (["01a1fda2-03ac-727d-b263-43381d63f3c8"], 1),
        (["no-address"], 1),
        ([ADDRESS, "--organization", "nowhere"], 2),
    ],
)
def test_nobody_is_erased_by_mistake(arguments, code, ada, db):
    with pytest.raises(CommandError) as caught:
        erase(*arguments)
    assert caught.value.returncode == code
    assert Event.objects.count() == 0
    assert User.objects.get(pk=ada.pk).email == ADDRESS


def test_a_suppressed_address_alone_is_known(organization, db):
    Suppression.objects.create(
        organization=organization,
        channel="email",
        recipient=ADDRESS,
        recipient_hash=recipient_hash("email", ADDRESS),
        reason="bounced",
        detail=f"<{ADDRESS}> is unknown",
    )
    assert erase(ADDRESS.upper())["erased"]["suppressions"] == 1
    assert Suppression.objects.active().count() == 1
    assert ADDRESS not in everything()
