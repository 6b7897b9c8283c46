"""What a copy of the database reveals, and how a key is rotated."""

import json
from io import StringIO

import pytest
from django.core.exceptions import FieldError
from django.core.management import CommandError, call_command
from django.db import connection

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.notifications.delivery import sender
from apps.notifications.models import Notification, UnreadEvent, WebhookEndpoint
from apps.users.models import Device
from notifier.lib.database.encryption import Undecryptable, encrypted_columns
from tests.conftest import post

OLD, NEW = "o" * 40, "n" * 40


def stored(model, column):
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT "{column}" FROM {model._meta.db_table}')  # noqa: S608 - our own names
        return [value for (value,) in cursor.fetchall()]


@pytest.fixture
def posted(transactional_db, api, user, version, unpublished, settings):
    settings.ENCRYPTION_KEYS = [OLD]
    Device.objects.update(token="a-very-private-token")
    assert post(api, user, variables={"name": "Zażółć the Secret"}).status_code == 202
    WebhookEndpoint.objects.create(organization=user.organization, url="https://example.com/")


def columns():
    return {(field.model, field.column) for field in encrypted_columns()}


def test_variables_tokens_and_secrets_are_unreadable_in_the_database(posted):
    assert columns() == {
        (Device, "token"),
        (Notification, "variables"),
        (PushLog, "token"),
        (UnreadEvent, "body"),
        (WebhookEndpoint, "secret"),
        (WebhookEndpoint, "former_secret"),
    }
    for model, column in columns():
        for value in stored(model, column):
            assert not value or value.startswith("gAAAA"), (model, column)
    assert Notification.objects.get().variables == {"name": "Zażółć the Secret"}
    assert PushLog.objects.get().token == Device.objects.get().token == "a-very-private-token"
    assert WebhookEndpoint.objects.get().secret.startswith("whsec_")


def test_looking_one_up_by_its_value_is_refused_and_not_merely_in_vain(posted):
    with pytest.raises(FieldError, match="encrypted"):
        Device.objects.filter(token="a-very-private-token").exists()


def test_a_key_is_changed_in_three_steps(posted, settings):
    before = {key: stored(*key) for key in columns()}
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    out = StringIO()
    call_command("reencrypt", "--json", stdout=out, stderr=StringIO())
    done = json.loads(out.getvalue())["reencrypted"]
    assert {name: count for name, count in done.items() if count} == {
        "users_device.token": 1,
        "notifications_notification.variables": 1,
        "notifications_pushlog.token": 1,
        "notifications_webhookendpoint.secret": 1,
    }
    assert stored(Device, "token") != before[Device, "token"]
    again = StringIO()
    call_command("reencrypt", "--json", stdout=again, stderr=StringIO())
    assert not any(json.loads(again.getvalue())["reencrypted"].values())

    settings.ENCRYPTION_KEYS = [NEW]
    assert Notification.objects.get().variables == {"name": "Zażółć the Secret"}
    assert Device.objects.get().token == "a-very-private-token"


def test_without_its_key_a_message_waits_and_says_why(posted, settings, smtp):
    row = EmailLog.objects.get()
    settings.ENCRYPTION_KEYS = [NEW]
    sender.deliver("email", [str(row.pk)])
    waiting = EmailLog.objects.get()
    assert (waiting.status, waiting.attempts, waiting.error_code) == ("queued", 0, "undecryptable")
    assert waiting.due_at > row.due_at
    assert "ENCRYPTION_KEYS" in waiting.error_detail
    with pytest.raises(Undecryptable, match=r"notifications_notification.variables.*ENCRYPTION_KEYS"):
        Notification.objects.get()
    with pytest.raises(CommandError, match="ENCRYPTION_KEYS"):
        call_command("reencrypt", stdout=StringIO(), stderr=StringIO())

    settings.ENCRYPTION_KEYS = [NEW, OLD]
    EmailLog.objects.update(due_at=row.due_at)
    sender.deliver("email", [str(row.pk)])
    assert EmailLog.objects.get().status == "sent"
    assert len(smtp.wait_for(1)) == 1
