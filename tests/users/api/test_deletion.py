"""Deletion of a person returns at once, however many notifications they have; the scheduler does the rest."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.notifications.models import Notification
from apps.notifications.operations import deletion as background
from apps.users import deletion
from apps.users.access import sessions
from apps.users.models import AuditEntry, Device, NotificationPreference, User
from tests.conftest import client_for, deliver, post
from tests.support.factories import UserFactory
from tests.support.routes import refused

SMALL_BATCH = 3


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(deletion, "AT_ONCE", SMALL_BATCH)
    monkeypatch.setattr(background, "BATCH", 2)


@pytest.fixture
def many_notifications(api, user, version, unpublished, few):
    """The person's notifications: one more than a request detaches."""
    return [post(api, user, request_id=f"r-{n}").json()["data"]["id"] for n in range(SMALL_BATCH + 1)]


def test_they_are_gone_for_every_caller(api, user, many_notifications):
    person = APIClient()
    person.credentials(HTTP_AUTHORIZATION=f"Bearer {sessions.begin(user)['access']}")
    url = f"/api/v1/users/{user.pk}/"

    answer = api.delete(url)

    assert (answer.status_code, answer.content) == (204, b"")
    for path in ("", "preferences/", "devices/"):
        refused(api.get(url + path), 404)
    refused(api.delete(url), 404)
    refused(api.get("/api/v1/users/email/ada@example.com/"), 404)
    assert api.get("/api/v1/users/").json()["data"] == []
    assert api.get("/api/v1/users/?email=ada@example.com").json()["data"] == []
    assert api.get("/api/v1/admin/users/").json()["meta"]["total"] == 0
    refused(person.get("/api/v1/auth/me/"), 401)
    refused(post(api, user), 400, "validation_error")
    # Who they were is nowhere on their row, and their address is free.
    row = User.objects.get(pk=user.pk)
    assert (row.email, row.name) == (f"{user.pk.hex}@deleted.invalid", "")
    assert api.post("/api/v1/users/", {"email": "ada@example.com"}).status_code == 201


def test_the_request_touches_none_of_the_notifications(api, user, many_notifications):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        api.delete(f"/api/v1/users/{user.pk}/")
    assert not [one["sql"] for one in queries if 'UPDATE "notifications' in one["sql"]]
    assert Notification.objects.filter(user=user).count() == SMALL_BATCH + 1


def test_the_scheduler_detaches_them_and_then_deletes_the_row(api, user, many_notifications):
    api.delete(f"/api/v1/users/{user.pk}/")

    assert background.turn() > SMALL_BATCH

    assert not User.objects.filter(pk=user.pk).exists()
    assert not Device.objects.exists()
    assert set(Notification.objects.values_list("user", flat=True)) == {None}
    assert set(PushLog.objects.values_list("device", flat=True)) == {None}
    assert background.turn() == 0
    for one in many_notifications:
        assert api.get(f"/api/v1/notifications/{one}/").json()["data"]["user_id"] is None


def test_a_pass_that_takes_too_long_is_continued_by_the_next(api, user, many_notifications, monkeypatch):
    monkeypatch.setattr(background, "TURN_SECONDS", -1)
    api.delete(f"/api/v1/users/{user.pk}/")
    passes = 0
    while background.turn():
        passes += 1
    # Two batches of notifications, two of pushes, and the person.
    assert passes == 5
    assert not User.objects.filter(pk=user.pk).exists()


def test_it_is_recorded_once_with_its_operator(api, user, many_notifications):
    api.patch(f"/api/v1/users/{user.pk}/preferences/", {"email": False})
    api.delete(f"/api/v1/users/{user.pk}/")
    background.turn()
    lines = AuditEntry.objects.filter(action="deleted").values_list("kind", flat=True)
    assert sorted(lines) == ["users.device", "users.notificationpreference", "users.user"]
    assert not NotificationPreference.objects.exists()
    assert all(one.startswith("key:") for one in AuditEntry.objects.values_list("actor", flat=True))


def test_nothing_more_is_sent_to_them(transactional_db, api, user, many_notifications):
    api.delete(f"/api/v1/users/{user.pk}/")
    deliver("email", [str(pk) for pk in EmailLog.objects.values_list("pk", flat=True)])
    assert set(EmailLog.objects.values_list("status", flat=True)) == {"skipped"}


def test_a_person_with_few_notifications_is_deleted_at_once(api, user, version, few):
    post(api, user)
    assert api.delete(f"/api/v1/users/{user.pk}/").status_code == 204
    assert not User.objects.exists()


def test_one_more_than_that_is_not(api, organization, version, few, unpublished):
    for count, left in ((SMALL_BATCH, False), (SMALL_BATCH + 1, True)):
        person = UserFactory(organization=organization)
        for _ in range(count):
            post(api, person, channels=["email"])
        api.delete(f"/api/v1/users/{person.pk}/")
        assert User.objects.filter(pk=person.pk).exists() is left


def test_without_the_scope_nobody_leaves(organization, user, many_notifications):
    refused(client_for(organization, scopes=["users:read"]).delete(f"/api/v1/users/{user.pk}/"), 403)
    assert User.objects.get(pk=user.pk).deleted_at is None
