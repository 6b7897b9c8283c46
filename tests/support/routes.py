"""The table of all API routes, with their scopes and example bodies, for tests over all routes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.apps import apps
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from rest_framework.test import APIClient

from apps.notifications.models import DeadLetter, ProviderState, Suppression, WebhookEndpoint
from apps.templates.models import Layout, Partial
from apps.users.models import ApiKey, Category, User
from apps.users.models.scopes import Scope
from apps.users.recipient_hashes import recipient_hash
from tests.conftest import post
from tests.support.factories import EMAIL_EN, SMS_EN, template_with

PARTS = {
    "user": ("pk",), "preferences": ("pk",), "devices": ("pk",), "device": ("pk", "device"),
    "api-key": ("api_key",), "api-key-rotate": ("api_key",), "category": ("category",),
    "template": ("code",), "versions": ("code",), "activate": ("code",), "preview": ("code",),
    "version": ("code", "number"), "diff": ("code",), "draft": ("code",), "draft-publish": ("code",),
    "usage": ("code",), "layout": ("name",), "layout-uses": ("name",), "partial": ("name",),
    "partial-uses": ("name",),
    "dead-letter-discard": ("letter",), "notification": ("key",), "notification-status": ("key",),
    "user-by-email": ("address",), "events": ("key",), "cancel": ("key",),
    "suppression-lift": ("suppression",),
    "provider-history": ("provider",), "provider-open": ("provider",), "provider-close": ("provider",),
    "provider-events": ("provider",),
}  # fmt: skip
"""The parameters of a route's path, by the route's name."""


@dataclass(frozen=True)
class Route:
    """`scope` None: public. `own`: a person without the scope may use it on their own rows.

    `person`: for any person who is signed in, about themself; a key has no account.
    """

    method: str
    name: str
    scope: Scope | None
    own: bool = False
    person: bool = False
    body: dict[str, Any] | None = field(default=None, hash=False)
    """A valid body. {…} in its texts stands for an id of `world_of`."""
    own_body: dict[str, Any] | None = field(default=None, hash=False)
    """The body that a person may send about themself, where it differs."""

    def __str__(self) -> str:
        return f"{self.method} {self.name}"

    def about_oneself(self) -> "Route":
        return replace(self, body=self.own_body or self.body)

    def url(self, world: Mapping[str, Any]) -> str:
        return reverse(self.name, kwargs={part: world[part] for part in PARTS.get(self.name, ())})

    def sound(self, world: Mapping[str, Any]) -> dict[str, Any] | None:
        if self.body is None:
            return None
        return {
            key: value.format(**world) if isinstance(value, str) else value
            for key, value in self.body.items()
        }

    def call(self, client: APIClient, world: Mapping[str, Any], **body: Any) -> Any:
        send = getattr(client, self.method.lower())
        if self.body is None:
            return send(self.url(world))
        return send(self.url(world), {**(self.sound(world) or {}), **body}, format="json")


NAME = {"name": "name", "type": "string", "default": "friend"}
LAYOUT = {
    "source_format": "html", "html": "<body>{{{{ content }}}}</body>", "text": "{{{{ content }}}}\n--\nAcme",
    "values": {"colour": "#0a7d43"},
}  # fmt: skip
PARTIAL = {"source_format": "html", "html": "<b>Bye</b>", "text": "Bye"}
LOGIN = {"email": "ada@example.com", "password": "correct horse battery"}
MESSAGE = {
    "user_id": "{pk}",
    "template_code": "hello",
    "channels": ["email"],
    "variables": {"name": "Ada"},
    "language": "en",
    "request_id": "order-1",
    "priority": 5,
    "scheduled_at": f"{datetime.now(UTC) + timedelta(days=1)}",
    "metadata": {"order": 1},
    "callback_url": "https://example.com/hooks",
}
ROUTES = [
    Route("POST", "login", None, body=LOGIN),
    Route("POST", "users-login", None, body=LOGIN),
    Route(
        "POST", "register", None,
        body={
            "email": "new@example.com", "password": "staple battery horse", "name": "New", "language": "fr-CA",
            "timezone": "Europe/Paris",
        },
    ),
    Route("POST", "refresh", None, body={"refresh": "a.b.c"}),
    Route("POST", "logout", None, body={"refresh": "a.b.c"}),
    Route("GET", "me", None, person=True),
    Route("POST", "password-reset", None, body={"email": "ada@example.com"}),
    Route(
        "POST", "password-reset-confirm", None,
        body={"code": "a:b-c", "new_password": "staple battery horse"},
    ),
    Route(
        "POST", "password", None, person=True,
        body={"old_password": LOGIN["password"], "new_password": "staple battery horse"},
    ),
    Route("GET", "health", None),
    Route("GET", "health-live", None),
    Route("GET", "health-ready", None),
    Route("GET", "users", Scope.USERS_READ, own=True),
    Route(
        "POST", "users", Scope.USERS_WRITE,
        body={
            "email": "grace@example.com", "name": "Grace", "language": "fr-CA", "timezone": "Europe/Paris",
            "quiet_from": "22:00", "quiet_until": "07:00", "role": "member", "is_active": True,
        },
    ),
    Route("GET", "user", Scope.USERS_READ, own=True),
    Route("GET", "user-by-email", Scope.USERS_READ, own=True),
    Route(
        "PATCH", "user", Scope.USERS_WRITE, own=True,
        own_body={
            "name": "Ada L.", "language": "en", "timezone": "UTC", "quiet_from": "22:00", "quiet_until": "07:00",
        },
        body={
            "email": "ada2@example.com", "name": "Ada L.", "language": "en", "timezone": "UTC",
            "quiet_from": "22:00", "quiet_until": "07:00", "role": "member", "is_active": True,
        },
    ),
    Route("DELETE", "user", Scope.USERS_WRITE),
    Route("GET", "preferences", Scope.USERS_READ, own=True),
    Route(
        "PATCH", "preferences", Scope.USERS_WRITE, own=True,
        body={"email": False, "push": True, "categories": {"news": {"email": True}}},
    ),
    Route("GET", "devices", Scope.USERS_READ, own=True),
    Route(
        "POST", "devices", Scope.USERS_WRITE, own=True,
        body={"token": "a-new-token-000001", "platform": "ios", "name": "Phone"},
    ),
    Route("GET", "device", Scope.USERS_READ, own=True),
    Route(
        "PATCH", "device", Scope.USERS_WRITE, own=True,
        body={"token": "a-new-token-000002", "platform": "web", "name": "Tablet"},
    ),
    Route("DELETE", "device", Scope.USERS_WRITE, own=True),
    Route("POST", "admin-login", None, body=LOGIN),
    Route("GET", "admin-users", Scope.USERS_READ),
    Route("GET", "api-keys", Scope.API_KEYS_WRITE),
    Route(
        "POST", "api-keys", Scope.API_KEYS_WRITE,
        body={
            "name": "Shop", "scopes": ["api-keys:write"], "live": True,
            "expires_at": f"{datetime.now(UTC) + timedelta(days=30)}",
        },
    ),
    Route("GET", "api-key", Scope.API_KEYS_WRITE),
    Route("PATCH", "api-key", Scope.API_KEYS_WRITE, body={"name": "Shop 2"}),
    Route("DELETE", "api-key", Scope.API_KEYS_WRITE),
    Route("POST", "api-key-rotate", Scope.API_KEYS_WRITE, body={"overlap": 60}),
    Route("GET", "categories", Scope.TEMPLATES_READ),
    Route(
        "POST", "categories", Scope.TEMPLATES_WRITE,
        body={"code": "receipts", "name": "Receipts", "mandatory": True, "cap": 3, "cap_window": 86400},
    ),
    Route("GET", "category", Scope.TEMPLATES_READ),
    Route(
        "PATCH", "category", Scope.TEMPLATES_WRITE,
        body={"name": "The news", "mandatory": True, "cap": 3, "cap_window": 60},
    ),
    Route("DELETE", "category", Scope.TEMPLATES_WRITE),
    Route("GET", "templates", Scope.TEMPLATES_READ),
    Route(
        "POST", "templates", Scope.TEMPLATES_WRITE,
        body={
            "code": "goodbye", "name": "Goodbye", "description": "Said last.", "on_unknown": "hold",
            "contents": [EMAIL_EN], "variables": [NAME],
        },
    ),
    Route("GET", "template", Scope.TEMPLATES_READ),
    Route(
        "PATCH", "template", Scope.TEMPLATES_WRITE,
        body={"name": "Hello!", "description": "Said first.", "on_unknown": "resend"},
    ),
    Route("DELETE", "template", Scope.TEMPLATES_WRITE),
    Route("GET", "versions", Scope.TEMPLATES_READ),
    Route(
        "POST", "versions", Scope.TEMPLATES_WRITE,
        body={"contents": [EMAIL_EN], "variables": [NAME], "note": "Kinder", "activate": True},
    ),
    Route("GET", "version", Scope.TEMPLATES_READ),
    Route("GET", "diff", Scope.TEMPLATES_READ),
    Route("GET", "usage", Scope.TEMPLATES_READ),
    Route("GET", "layouts", Scope.TEMPLATES_READ),
    Route("POST", "layouts", Scope.TEMPLATES_WRITE, body={**LAYOUT, "name": "plain", "description": "No colours."}),
    Route("GET", "layout", Scope.TEMPLATES_READ),
    Route("PATCH", "layout", Scope.TEMPLATES_WRITE, body=LAYOUT),
    Route("DELETE", "layout", Scope.TEMPLATES_WRITE),
    Route("GET", "layout-uses", Scope.TEMPLATES_READ),
    Route("GET", "partials", Scope.TEMPLATES_READ),
    Route("POST", "partials", Scope.TEMPLATES_WRITE, body={**PARTIAL, "name": "footer", "description": "Below."}),
    Route("GET", "partial", Scope.TEMPLATES_READ),
    Route("PATCH", "partial", Scope.TEMPLATES_WRITE, body=PARTIAL),
    Route("DELETE", "partial", Scope.TEMPLATES_WRITE),
    Route("GET", "partial-uses", Scope.TEMPLATES_READ),
    Route("GET", "draft", Scope.TEMPLATES_READ),
    Route(
        "PUT", "draft", Scope.TEMPLATES_WRITE,
        body={"contents": [EMAIL_EN], "variables": [NAME], "note": "Kinder", "base": "{base}"},
    ),
    Route("DELETE", "draft", Scope.TEMPLATES_WRITE),
    Route("POST", "draft-publish", Scope.TEMPLATES_WRITE, body={"activate": True, "base": "{base}"}),
    Route(
        "POST", "substitute", Scope.TEMPLATES_READ,
        body={"template_code": "hello", "language": "en", "variables": {"name": "Ada"}},
    ),
    Route("POST", "activate", Scope.TEMPLATES_WRITE, body={"version": 1}),
    Route(
        "POST", "preview", Scope.TEMPLATES_READ,
        body={"version": 1, "language": "en", "variables": {"name": "Ada"}},
    ),
    Route("GET", "notifications", Scope.NOTIFICATIONS_READ, own=True),
    Route("POST", "notifications", Scope.NOTIFICATIONS_WRITE, body=MESSAGE),
    Route("POST", "notify", Scope.NOTIFICATIONS_WRITE, body=MESSAGE),
    Route("POST", "notifications-email", Scope.NOTIFICATIONS_WRITE, body=MESSAGE),
    Route("POST", "notifications-push", Scope.NOTIFICATIONS_WRITE, body={**MESSAGE, "channels": ["push"]}),
    Route(
        "POST", "notifications-sms", Scope.NOTIFICATIONS_WRITE,
        body={**MESSAGE, "template_code": "text", "channels": ["sms"]},
    ),
    Route(
        "POST", "batch", Scope.NOTIFICATIONS_WRITE,
        body={"notifications": [{"recipient": {"email": "ada@example.com"}, "template_code": "hello"}]},
    ),
    Route("GET", "dead-letters", Scope.DEAD_LETTERS_READ),
    Route("POST", "dead-letters-replay", Scope.DEAD_LETTERS_WRITE, body={"channel": "email", "dry_run": True}),
    Route("POST", "dead-letter-discard", Scope.DEAD_LETTERS_WRITE),
    Route("GET", "webhook-endpoint", Scope.WEBHOOKS_READ),
    Route(
        "PUT", "webhook-endpoint", Scope.WEBHOOKS_WRITE,
        body={"url": "https://example.com/hooks", "enabled": True},
    ),
    Route("DELETE", "webhook-endpoint", Scope.WEBHOOKS_WRITE),
    Route("POST", "webhook-rotate", Scope.WEBHOOKS_WRITE, body={"overlap": 60}),
    Route("POST", "webhook-test", Scope.WEBHOOKS_WRITE),
    Route(
        "POST", "webhook-replay", Scope.WEBHOOKS_WRITE,
        body={
            "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z", "status": "all", "dry_run": False,
        },
    ),
    Route("GET", "webhook-deliveries", Scope.WEBHOOKS_READ),
    Route("GET", "audit", Scope.AUDIT_READ),
    Route("GET", "suppressions", Scope.SUPPRESSIONS_READ),
    Route(
        "POST", "suppressions", Scope.SUPPRESSIONS_WRITE,
        body={"channel": "email", "recipient": "eve@example.com", "reason": "asked", "detail": "By phone."},
    ),
    Route("POST", "suppression-lift", Scope.SUPPRESSIONS_WRITE, body={"reason": "The mailbox is back."}),
    Route("GET", "providers", Scope.PROVIDERS_READ),
    Route("GET", "provider-history", Scope.PROVIDERS_READ),
    Route("POST", "provider-open", Scope.PROVIDERS_WRITE),
    Route("POST", "provider-close", Scope.PROVIDERS_WRITE),
    # Open: a service signs what it tells. Here there is none of that name.
    Route("GET", "provider-events", None),
    Route("POST", "provider-events", None),
    Route("POST", "email-status", Scope.NOTIFICATIONS_WRITE, body={"delivery_id": "{email}", "status": "delivered"}),
    Route("POST", "push-status", Scope.NOTIFICATIONS_WRITE, body={"delivery_id": "{push}", "status": "delivered"}),
    Route("POST", "sms-status", Scope.NOTIFICATIONS_WRITE, body={"delivery_id": "{sms}", "status": "delivered"}),
    Route("GET", "notification", Scope.NOTIFICATIONS_READ, own=True),
    Route("GET", "notification-status", Scope.NOTIFICATIONS_READ, own=True),
    Route("GET", "events", Scope.NOTIFICATIONS_READ, own=True),
    Route("POST", "cancel", Scope.NOTIFICATIONS_WRITE),
]  # fmt: skip
TAKING = [route for route in ROUTES if route.body is not None and not route.person]
PERSONAL = [route for route in ROUTES if route.person]
GUARDED = [route for route in ROUTES if route.scope is not None]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def world_of(api: APIClient, user: User) -> dict[str, Any]:
    """The ids that the routes' paths need: of `user`, their device, the template and one notification."""
    sent = post(api, user, channels=["email", "push"]).json()["data"]
    template_with(user.organization, SMS_EN, code="text")
    text = post(api, user, template_code="text").json()["data"]
    rows = {row["channel"]: row["id"] for one in (sent, text) for row in one["deliveries"]}
    draft = api.put("/api/v1/templates/hello/draft/", {"contents": [EMAIL_EN]}, format="json").json()["data"]
    dead_letter = DeadLetter.objects.create(
        organization=user.organization,
        notification_id=sent["id"],
        delivery_id=rows["email"],
        channel="email",
        reason="timed_out",
    )
    key, _ = ApiKey.objects.issue(organization=user.organization, name="Old", scopes=[Scope.API_KEYS_WRITE])
    WebhookEndpoint.objects.create(organization=user.organization, url="https://example.com/hooks")
    ProviderState.objects.create(name="smtp")
    for part in (Layout, Partial):
        part.objects.create(organization=user.organization, name="brand", html="{{ content }}")
    gone = Suppression.objects.create(
        organization=user.organization,
        channel="email",
        recipient="gone@example.com",
        recipient_hash=recipient_hash("email", "gone@example.com"),
        reason="bounced",
    )
    return {
        "email": rows["email"],
        "push": rows["push"],
        "sms": rows["sms"],
        "letter": str(dead_letter.pk),
        "api_key": str(key.pk),
        "category": Category.objects.create(organization=user.organization, code="news", name="News").code,
        "pk": str(user.pk),
        "address": user.email,
        "device": str(user.devices.get().pk),
        "code": "hello",
        "key": sent["id"],
        "text": text["id"],
        "number": 1,
        "name": "brand",
        "provider": "smtp",
        "suppression": str(gone.pk),
        "base": draft["updated_at"],
    }


def served() -> Iterator[tuple[str, str]]:
    """(method, name) of everything that the URLconf has under /api/v1/."""
    for name, callback in patterns():
        view = callback.cls
        allowed = callback.view_initkwargs.get("http_method_names", view.http_method_names)
        for method in METHODS:
            if method.lower() in allowed and hasattr(view, method.lower()):
                yield method, name


def patterns() -> Iterator[tuple[str, Any]]:
    """(name, callback) of everything that the URLconf has under /api/v1/."""
    yield from _patterns(get_resolver().url_patterns, "")


def _patterns(patterns: list[Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for entry in patterns:
        here = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _patterns(entry.url_patterns, here)
        elif isinstance(entry, URLPattern) and here.startswith("api/v1/"):
            yield str(entry.name), entry.callback


def stored() -> dict[str, Any]:
    """Every row of every model of ours, but for the time of a key's last use."""
    found = {}
    for model in apps.get_models():
        if model.__module__.startswith("apps."):
            rows = list(model._default_manager.order_by("pk").values())
            for row in rows:
                row.pop("last_used_at", None)
            found[model.__name__] = rows
    return found


ENVELOPE = ["success", "data", "error", "message", "meta"]


def refused(answer: Any, status: int, error: str | None = None) -> dict[str, Any]:
    """The body of an error answer, checked to be exactly the envelope."""
    request = answer.wsgi_request
    assert answer.status_code == status, (request.method, request.get_full_path()[:200], answer.content[:500])
    assert answer["Content-Type"] == "application/json"
    assert answer["X-Correlation-ID"]
    body: dict[str, Any] = answer.json()
    assert [key for key in body if key != "errors"] == ENVELOPE
    assert body["success"] is False
    assert body["message"]
    assert isinstance(body["error"], str)
    if error is not None:
        assert body["error"] == error, body
    if body["error"] == "validation_error":
        assert body["errors"]
    for entry in body.get("errors", ()):
        assert list(entry) == ["field", "code", "detail"]
        assert all(isinstance(value, str) and value for value in entry.values()), entry
    return body
