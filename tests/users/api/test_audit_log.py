"""The audit log: every change by an operator, over the API, in the admin or by command, has a permanent entry."""

import uuid
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.outcome import Outcome, Result
from apps.notifications.models import DeadLetter
from apps.notifications.transitions import outcomes
from apps.users import audit_log
from apps.users.models import ApiKey, AuditEntry
from tests.conftest import client_for, post
from tests.support.factories import OrganizationFactory, UserFactory


@pytest.fixture
def boss(organization):
    return UserFactory(organization=organization, email="boss@example.com", role="admin", is_staff=True)


@pytest.fixture
def door(boss):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(boss)}")
    return client


def lines(**wanted):
    return list(AuditEntry.objects.filter(**wanted).order_by("id"))


def summary(entry):
    return entry.actor, entry.action, entry.kind, entry.row_id


def test_what_was_and_what_is(door, boss, organization):
    made = door.post("/api/v1/categories/", {"code": "news", "name": "News"}).json()["data"]
    door.patch("/api/v1/categories/news/", {"name": "The news", "mandatory": True})
    door.delete("/api/v1/categories/news/")
    created, changed, deleted = lines(kind="users.category")
    who = f"user:{boss.pk}"
    assert [summary(one)[:2] for one in (created, changed, deleted)] == [
        (who, "created"), (who, "changed"), (who, "deleted"),
    ]  # fmt: skip
    assert (changed.before, changed.after) == (
        {"name": "News", "mandatory": False},
        {"name": "The news", "mandatory": True},
    )
    assert {one.organization for one in (created, changed, deleted)} == {organization}
    assert changed.label == made["code"] == "news"


def test_a_change_by_update_is_recorded_too(door, boss, organization):
    key = door.post("/api/v1/admin/api-keys/", {"name": "Shop"}).json()["data"]
    door.patch(f"/api/v1/admin/api-keys/{key['id']}/", {"name": "Shop 2", "rate_limit": 7})
    door.delete(f"/api/v1/admin/api-keys/{key['id']}/")
    created, changed, revoked = lines(kind="users.apikey", row_id=key["id"])
    assert (changed.before, changed.after) == (
        {"name": "Shop", "rate_limit": None},
        {"name": "Shop 2", "rate_limit": 7},
    )
    assert revoked.before == {"revoked_at": None}
    assert revoked.after["revoked_at"]
    assert created.after["key_hash"] == created.after["prefix"] == "(hidden)"


def test_a_choice_for_another_person_is_recorded(door, boss, user):
    door.patch(f"/api/v1/users/{user.pk}/preferences/", {"email": False})
    door.patch(f"/api/v1/users/{user.pk}/preferences/", {"email": True})
    found = lines(kind="users.notificationpreference")
    assert [(one.actor, one.action) for one in found] == [
        (f"user:{boss.pk}", action) for action in ("created", "deleted", "created")
    ]
    assert (found[0].after["enabled"], found[2].after["enabled"]) == (False, True)


def test_past_a_thousand_rows_one_entry_has_the_rest(boss, organization, monkeypatch):
    monkeypatch.setattr(audit_log, "AT_ONCE", 2)
    for n in range(5):
        ApiKey.objects.issue(organization=organization, name=f"key {n}")
    with audit_log.acting(f"user:{boss.pk}"):
        ApiKey.objects.filter(organization=organization).update(rate_limit=7)
    found = lines(kind="users.apikey", action="changed")
    assert [one.label for one in found[2:]] == ["3 more rows"]
    assert (len(found), found[2].after, found[2].organization) == (3, {"rate_limit": 7}, organization)


def test_no_secret_and_no_address_is_in_it(door, boss):
    door.post("/api/v1/users/", {"email": "grace@example.com", "name": "Grace Hopper"})
    door.put("/api/v1/webhook-endpoints/", {"url": "https://example.com/hooks"}, format="json")
    door.post("/api/v1/webhook-endpoints/rotate/", {"overlap": 60}, format="json")
    everything = str([(one.before, one.after, one.label) for one in lines()])
    for hidden in ("grace", "Grace", "whsec_", "boss@"):
        assert hidden not in everything, hidden
    assert lines(kind="notifications.webhookendpoint", action="changed")
    assert lines(kind="users.user", action="created")


def test_a_refused_or_failed_act_leaves_none(door):
    assert door.post("/api/v1/categories/", {"code": "NO", "name": "x"}).status_code == 400
    door.post("/api/v1/categories/", {"code": "news", "name": "News"})
    before = len(lines())
    assert door.post("/api/v1/categories/", {"code": "news", "name": "Again"}).status_code == 400
    door.patch("/api/v1/categories/news/", {"name": "News"})
    assert len(lines()) == before, "what changes nothing is no act"


def test_a_keys_change_of_a_person_is_recorded(api, user):
    api.patch(f"/api/v1/users/{user.pk}/", {"name": "Ada L.", "is_active": False}, format="json")
    api.patch(f"/api/v1/users/{user.pk}/preferences/", {"push": False}, format="json")
    device = {"token": "another-phone-token", "platform": "ios"}
    api.post(f"/api/v1/users/{user.pk}/devices/", device, format="json")
    gone = UserFactory(organization=user.organization)
    api.delete(f"/api/v1/users/{gone.pk}/")
    summary = [(line.actor.partition(":")[0], line.kind, line.action) for line in lines()]
    assert summary == [
        ("key", "users.user", "changed"),
        ("key", "users.notificationpreference", "created"),
        ("key", "users.device", "created"),
        ("key", "users.user", "deleted"),
    ]
    assert "another-phone-token" not in str([line.after for line in lines()])


def test_sends_and_the_systems_own_changes_are_not_recorded(api, user, version, unpublished, smtp):
    post(api, user)
    row = EmailLog.objects.get()
    EmailLog.objects.update(status="sending", fence=1)
    row.refresh_from_db()
    row.db_now = row.created_at
    outcomes.record(row, Outcome(Result.PERMANENT, "mailbox_unknown", recipient_gone=True), provider="smtp")
    assert DeadLetter.objects.exists()
    assert lines() == []


@pytest.fixture
def dead_letter(api, user, version, unpublished):
    sent = post(api, user, channels=["email"]).json()["data"]
    EmailLog.objects.update(status="failed", reason="timed_out")
    return DeadLetter.objects.create(
        organization=user.organization, notification_id=sent["id"],
        delivery_id=sent["deliveries"][0]["id"], channel="email", reason="timed_out",
    )  # fmt: skip


def test_a_replay_is_recorded_with_its_operator(dead_letter, door, boss):
    body = {"ids": [str(dead_letter.pk)]}
    assert door.post("/api/v1/dead-letters/replay/", body, format="json").json()["data"]["replayed"] == 1
    (entry,) = lines(kind="notifications.deadletter")
    assert summary(entry) == (f"user:{boss.pk}", "changed", "notifications.deadletter", str(dead_letter.pk))
    assert (entry.before["state"], entry.after["state"]) == ("open", "replayed")


def test_a_command_is_an_operator(dead_letter, organization):
    call_command("dlq", "discard", str(dead_letter.pk), stdout=StringIO())
    call_command("create_api_key", "Shop", organization=organization.slug, stdout=StringIO())
    assert [one.after.get("state") for one in lines(kind="notifications.deadletter")] == ["discarded"]
    (made,) = lines(kind="users.apikey")
    assert (made.actor, made.action) == ("command:create_api_key", "created")
    assert ApiKey.objects.filter(pk=made.row_id).exists()


def test_a_change_in_the_admin_is_recorded_as_one_over_the_api_is(boss, organization):
    boss.is_superuser = True
    boss.save()
    client = Client()
    client.force_login(boss)
    added = client.post(
        reverse("admin:users_category_add"), {"organization": organization.pk, "code": "news", "name": "News"}
    )
    assert added.status_code == 302, added.content
    (entry,) = lines(kind="users.category")
    assert (entry.actor, entry.action) == (f"user:{boss.pk}", "created")


def test_it_can_only_grow(door):
    door.post("/api/v1/categories/", {"code": "news", "name": "News"})
    (entry,) = lines(kind="users.category")
    entry.actor = "somebody else"
    with pytest.raises(TypeError):
        entry.save()
    with pytest.raises(TypeError):
        entry.delete()
    if connection.vendor == "postgresql":
        for statement in ("UPDATE users_auditentry SET actor = 'x'", "DELETE FROM users_auditentry"):
            with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
                connection.cursor().execute(statement)


def test_it_is_read_over_the_api_by_administrators_of_the_organization(door, organization):
    door.post("/api/v1/categories/", {"code": "news", "name": "News"})
    door.patch("/api/v1/categories/news/", {"name": "The news"})
    found = door.get("/api/v1/audit/?kind=users.category&action=changed").json()["data"]
    assert [row["after"] for row in found] == [{"name": "The news"}]
    assert door.get(f"/api/v1/audit/?row_id={uuid.uuid4()}").json()["data"] == []
    other = client_for(OrganizationFactory(slug="other"))
    assert other.get("/api/v1/audit/?kind=users.category").json()["data"] == []
    operator = UserFactory(organization=organization, role="operator")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(operator)}")
    assert client.get("/api/v1/audit/").status_code == 403
