"""Every operation of the API, with every kind of caller of another organization and this one's ids in each position:
the response is that of an unknown id, reveals nothing of this organization, and nothing changes."""

import re
import uuid

import pytest
import yaml
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from apps.users.models import Organization
from apps.users.models.scopes import Role, Scope
from tests.conftest import client_for
from tests.environment import ROOT
from tests.support.factories import OrganizationFactory, UserFactory
from tests.support.routes import PARTS, ROUTES, stored, world_of

PATHS = yaml.safe_load((ROOT / "docs/openapi.yml").read_text())["paths"]
KEYS = {
    "everything": {},
    "everything, test": {"live": False},
    "reads people": {"scopes": ["users:read"]},
    "writes people": {"scopes": ["users:read", "users:write"]},
    "sends": {"scopes": ["notifications:write", "notifications:read"]},
    "writes templates": {"scopes": ["templates:read", "templates:write"]},
    "replays": {"scopes": ["dead-letters:read", "dead-letters:write"]},
    "callbacks": {"scopes": ["webhooks:read", "webhooks:write"]},
    "suppresses": {"scopes": ["suppressions:read", "suppressions:write"]},
    "keys and audit": {"scopes": ["api-keys:write", "audit:read"]},
}
CALLERS = [*KEYS, *Role.values, "anonymous"]
ALONE = [("everything", "by the view alone"), (Role.ADMIN, "by the view alone")]
"""The widest of them, with what stands behind a view that forgets to narrow its rows switched off."""
SHARED = ("provider-",)
"""Routes about providers, which all organizations share."""


@pytest.fixture
def world(api, user, version):
    return world_of(api, user)


@pytest.fixture
def other(db):
    return OrganizationFactory(slug="other")


@pytest.fixture(params=[*((who, "twice") for who in CALLERS), *ALONE], ids=" ".join)
def who(request, monkeypatch):
    name, guarded = request.param
    if guarded != "twice":
        monkeypatch.setattr("notifier.lib.database.tenancy.enter", lambda organization_id: None)
    return name


def caller(name: str, organization: Organization) -> APIClient:
    if name in KEYS:
        client = client_for(organization, **KEYS[name])
    else:
        client = APIClient()
        if name != "anonymous":
            person = UserFactory(organization=organization, role=name)
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(person)}")
    client.raise_request_exception = False
    return client


def places(world):
    """(what, how to ask it with a value, this organization's value, one that nobody has), beside those in paths."""
    none = str(uuid.uuid4())
    message = {"template_code": "hello", "variables": {"name": "Ada"}, "channels": ["email"]}

    def posting(path, build):
        return lambda client, value: client.post(f"/api/v1/{path}", build(value), format="json")

    def asking(path):
        return lambda client, value: client.get(f"/api/v1/{path}{value}")

    yield "user_id", posting("notifications/", lambda v: {**message, "user_id": v}), world["pk"], none
    yield "notify", posting("notify/", lambda v: {**message, "user_id": v}), world["pk"], none
    yield (
        "batch", posting("notifications/batch/", lambda v: {"notifications": [{**message, "user_id": v}]}),
        world["pk"], none,
    )  # fmt: skip
    yield (
        "dry run", posting("notifications/?dry_run=true", lambda v: {**message, "user_id": v}), world["pk"], none,
    )  # fmt: skip
    template = {"recipient": {"email": "b@example.com"}, "variables": {"name": "Ada"}}
    yield (
        "template_code", posting("notifications/", lambda v: {**template, "template_code": v}), "hello", "absent",
    )  # fmt: skip
    for channel in ("email", "push", "sms"):
        yield (
            f"{channel} receipt",
            posting(f"{channel}/status/", lambda v: {"delivery_id": v, "status": "delivered"}), world[channel], none,
        )  # fmt: skip
    yield "replay", posting("dead-letters/replay/", lambda v: {"ids": [v]}), world["letter"], none
    yield (
        "substitute", posting("templates/substitute/", lambda v: {"template_code": v, "variables": {"name": "A"}}),
        "hello", "absent",
    )  # fmt: skip
    yield (
        "category", posting("templates/", lambda v: {"code": "mine", "name": "Mine", "category": v}),
        world["category"], "absent",
    )  # fmt: skip
    yield (
        "layout",
        posting(
            "templates/substitute/",
            lambda v: {
                "contents": [{"channel": "email", "language": "en", "subject": "x", "text": "x", "layout": v}]
            },
        ),
        "brand", "absent",
    )  # fmt: skip
    for path, value in (
        ("notifications/?user=", world["pk"]), ("webhook-endpoints/deliveries/?notification=", world["key"]),
        ("audit/?row_id=", world["pk"]), ("audit/?actor=", f"user:{world['pk']}"),
    ):  # fmt: skip
        yield path, asking(path), value, none
    yield "users/?email=", asking("users/?email="), "ada@example.com", "nobody@example.com"
    yield (
        "suppressions/?recipient=",
        asking("suppressions/?recipient="),
        "gone@example.com",
        "nobody@example.com",
    )
    yield "notifications/?template=", asking("notifications/?template="), "hello", "absent"
    for name in ("notifications", "dead-letters", "suppressions", "audit"):
        yield f"{name}/?cursor=", asking(f"{name}/?cursor="), world["cursor"], world["cursor"]


def comparable(answer, value):
    return answer.status_code, answer.content.decode().replace(str(value), "…")


def test_another_organizations_ids_answer_like_none(who, api, user, world, other):
    world = {**world, "cursor": _cursor_of(api, world)}
    client = caller(who, other)
    none = {**world, **{part: uuid.uuid4() for parts in PARTS.values() for part in parts}}
    none |= {
        "code": "absent",
        "name": "absent",
        "category": "absent",
        "number": 99,
        "provider": world["provider"],
    }
    ids = {
        str(world[part])
        for part in ("pk", "device", "key", "letter", "suppression", "api_key", "email", "push", "sms")
    }
    secrets = {*ids, "ada@example.com", "ada-phone-token", "gone@example.com", '"Acme"'}
    before = stored()
    for route in ROUTES:
        if route.name not in PARTS or route.name.startswith(SHARED):
            continue
        foreign, absent = route.call(client, world), route.call(client, none)
        assert foreign.status_code >= 400, (str(route), foreign.content)
        assert (foreign.status_code, foreign.content) == (absent.status_code, absent.content), str(route)
        assert not [one for one in secrets if one in foreign.content.decode()], str(route)
    for what, ask, value, nobodys in places(world):
        foreign, absent = ask(client, value), ask(client, nobodys)
        assert comparable(foreign, value) == comparable(absent, nobodys), what
        assert foreign.status_code < 500, what
        left = [one for one in secrets - {value} if one in foreign.content.decode()]
        assert not left, (what, left)
    assert stored() == before


def _cursor_of(api, world):
    """Of this organization's own list."""
    for _ in range(2):
        api.post(f"/api/v1/notifications/{world['key']}/cancel/")
    body = {"recipient": {"email": "c@example.com"}, "template_code": "hello", "variables": {"name": "C"}}
    api.post("/api/v1/notifications/", body, format="json")
    return api.get("/api/v1/notifications/?limit=1").json()["meta"]["next"]


def test_no_list_holds_a_row_of_another_organization(who, api, user, world, other):
    client = caller(who, other)
    ids = [str(world[part]) for part in ("pk", "device", "key", "letter", "suppression", "api_key")]
    for route in ROUTES:
        if route.method == "GET" and route.name not in PARTS:
            answer = route.call(client, world)
            assert answer.status_code < 500, str(route)
            assert not [one for one in (*ids, "ada@example.com") if one in answer.content.decode()], str(
                route
            )


def test_every_operation_is_among_the_routes(world):
    """So that the run above has a new one in it, or this fails."""
    called = {(route.method, route.url(world)) for route in ROUTES}
    for path, operations in PATHS.items():
        form = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)))
        for method in operations:
            assert any(one == method.upper() and form.fullmatch(url) for one, url in called), (method, path)
    assert len(KEYS) == 10
    assert {scope for fields in KEYS.values() for scope in fields.get("scopes", Scope.values)} == set(
        Scope.values
    )
