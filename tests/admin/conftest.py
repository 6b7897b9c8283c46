"""Operators, signed-in clients and sample rows for the admin's tests."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db.models.functions import Now
from django.test import Client

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.notifications.channels.sms.log import SmsLog
from apps.notifications.models import (
    Callback,
    CallbackAttempt,
    CircuitChange,
    DeadLetter,
    Notification,
    ProviderState,
    Suppression,
    UnreadEvent,
    WebhookEndpoint,
    from_now,
)
from apps.notifications.transitions import timeline
from apps.templates.models import Layout, Partial, TemplateVersion
from apps.users.models import ApiKey, AuditEntry, Category, NotificationPreference, Organization, User
from apps.users.recipient_hashes import recipient_hash
from tests.support.factories import UserFactory

ADDRESS = "ada@example.com"
TOKEN = "ada-phone-token-0001"
NUMBER = "+14155550177"


@pytest.fixture(autouse=True)
def _plain_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def root(organization: Organization) -> User:
    return User.objects.create_superuser("root@example.com", "correct horse", organization=organization)


@pytest.fixture
def door(root: User) -> Client:
    """The admin, as a superuser sees it."""
    return signed_in(root)


@pytest.fixture
def staff() -> Callable[..., Client]:
    """The admin, as an organization's own operator with every permission (or the named ones) sees it."""

    def make(organization: Organization, *codenames: str, **fields: Any) -> Client:
        person = UserFactory(organization=organization, is_staff=True, **fields)
        wanted = Permission.objects.all()
        person.user_permissions.set(wanted.filter(codename__in=codenames) if codenames else wanted)
        return signed_in(person)

    return make


def failed_rows(user: User, version: TemplateVersion, *, reason: str = "rejected") -> SimpleNamespace:
    """A notification whose email failed and whose push went out, with its timeline and dead letter."""
    notification = Notification.objects.create(
        organization=user.organization,
        user=user,
        template_version=version,
        request_id=f"order-{user.pk}",
        body_hash="0" * 64,
        variables={"name": "a secret name"},
        correlation_id="trace-1",
        requested_by="key:1",
    )
    common = {"notification": notification, "organization": user.organization, "deadline_at": from_now(3600)}
    email = EmailLog.objects.create(
        **common,
        email=user.email,
        recipient_hash=recipient_hash("email", user.email),
        status="unknown" if reason == "unknown" else "failed",
        reason=reason,
        attempts=1,
        error_code="mailbox_unknown",
        error_detail=f"rcpt: 550 5.1.1 <{user.email}> is not here",
        provider="smtp",
        finished_at=Now(),
    )
    push = PushLog.objects.create(
        **common,
        token=TOKEN,
        device=user.devices.first(),
        recipient_hash=recipient_hash("push", TOKEN),
        status="sent",
        provider="fcm",
        provider_message_id="projects/demo/messages/77",
        sent_at=Now(),
    )
    timeline.accepted(
        notification,
        template=version.template.code,
        version=version.number,
        decisions=[{"channel": "email", "recipient": email.masked_recipient, "decision": "send"}],
    ).save()
    timeline.note(email, timeline.FAILED, code=email.error_code, detail=email.error_detail, attempt=1)
    dead_letter = DeadLetter.objects.create(
        organization=user.organization,
        notification=notification,
        delivery_id=email.pk,
        channel="email",
        reason=reason,
        code=email.error_code,
        detail=email.error_detail,
    )
    text = SmsLog.objects.create(
        **common,
        phone=NUMBER,
        recipient_hash=recipient_hash("sms", NUMBER),
        status="bounced",
        error_detail=f"no one at {NUMBER}",
        provider="twilio",
        provider_message_id="SM77",
        sent_at=Now(),
        finished_at=Now(),
    )
    timeline.note(text, "bounced", detail=f"no one at {NUMBER}")
    return SimpleNamespace(
        notification=notification, email=email, push=push, sms=text, dead_letter=dead_letter
    )


@pytest.fixture
def failed(user: User, version: TemplateVersion) -> SimpleNamespace:
    return failed_rows(user, version)


def callback_of(failed: SimpleNamespace) -> Callback:
    """The event of the failed email, tried once in vain."""
    row = Callback.objects.create(
        organization=failed.notification.organization,
        notification=failed.notification,
        type="delivery.failed",
        payload={"type": "delivery.failed"},
        attempts=1,
    )
    CallbackAttempt.objects.create(
        organization=row.organization,
        callback=row,
        number=1,
        url="https://example.com/hooks",
        http_status=503,
        code="http_503",
        detail=f"no such thing as {ADDRESS}",
    )
    return row


@pytest.fixture
def everything(failed: SimpleNamespace, user: User, version: TemplateVersion) -> dict[str, Any]:
    """A row of every model that has pages, by the name of its pages."""
    foreign = DeadLetter.objects.create(
        reason="undecodable", queue="email", body=b"\xff{", body_hash="1" * 64
    )
    assert foreign.pk
    return {
        "users_organization": user.organization,
        "users_user": NotificationPreference.objects.create(user=user, channel="push").user,
        "users_apikey": ApiKey.objects.issue(organization=user.organization, name="Shop")[0],
        "users_category": Category.objects.create(organization=user.organization, code="news", name="News"),
        "templates_template": version.template,
        "templates_layout": Layout.objects.create(
            organization=user.organization, name="brand", html="<b>{{ content }}</b>"
        ),
        "templates_partial": Partial.objects.create(
            organization=user.organization, name="bye", text="Bye {{ name }}"
        ),
        "notifications_notification": failed.notification,
        "notifications_emaillog": failed.email,
        "notifications_pushlog": failed.push,
        "notifications_smslog": failed.sms,
        "notifications_deadletter": failed.dead_letter,
        "notifications_suppression": Suppression.objects.create(
            organization=user.organization,
            channel="email",
            recipient=user.email,
            recipient_hash=recipient_hash("email", user.email),
            reason="complaint",
        ),
        "notifications_webhookendpoint": WebhookEndpoint.objects.create(
            organization=user.organization, url="https://example.com/hooks"
        ),
        "notifications_callback": callback_of(failed),
        "users_auditentry": AuditEntry.objects.create(
            organization=user.organization, actor="user:1", action="changed", kind="users.apikey", row_id="1"
        ),
        "notifications_unreadevent": UnreadEvent.objects.create(
            source="brevo", key="k", body=f'{{"email": "{ADDRESS}"}}', error="KeyError: 'event'"
        ),
        "notifications_circuitchange": CircuitChange.objects.create(provider="smtp", kind="opened"),
        "notifications_providerstate": ProviderState.objects.create(
            name="smtp", open_until=from_now(60), code="auth_failed"
        ),
    }


def text_of(response: Any) -> str:
    return response.content.decode()


def messages_of(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]
