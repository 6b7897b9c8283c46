"""The envelope of every response, its correlation id, and pages that show each row once."""

import json
import re

import pytest
from django.db import OperationalError, transaction
from rest_framework.test import APIClient

from apps.notifications.models import Notification
from apps.users.models import User
from tests.conftest import post
from tests.support.factories import TemplateFactory, UserFactory
from tests.support.routes import ENVELOPE, GUARDED, refused, world_of

NUMBERED = ["total", "limit", "page", "total_pages", "has_next", "has_previous"]
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
def world(api, user, version):
    return world_of(api, user)


def test_success_has_the_envelope(api, world):
    for route in GUARDED:
        with transaction.atomic():
            answer = route.call(api, world)
            transaction.set_rollback(True)

        assert UUID.fullmatch(answer["X-Correlation-ID"])
        if answer.status_code == 204:
            assert answer.content == b""
            continue
        body = answer.json()
        assert list(body) == ENVELOPE, route
        assert (body["success"], body["error"]) == (True, None), route
        assert body["message"]
        assert isinstance(body["data"], dict | list)
        assert (body["meta"] is not None) == isinstance(body["data"], list)


def test_a_numbered_page_has_its_numbers(api, organization):
    for number in range(5):
        UserFactory(organization=organization, email=f"p{number}@example.com")

    pages = [api.get(f"/api/v1/users/?limit=2&page={page}").json() for page in (1, 2, 3)]

    assert [list(page["meta"]) for page in pages] == [NUMBERED] * 3
    assert [list(page["meta"].values()) for page in pages] == [
        [5, 2, 1, 3, True, False],
        [5, 2, 2, 3, True, True],
        [5, 2, 3, 3, False, True],
    ]
    emails = [row["email"] for page in pages for row in page["data"]]
    assert emails == [f"p{number}@example.com" for number in range(5)]


def test_an_empty_list_is_one_page(api, organization):
    assert api.get("/api/v1/templates/").json() | {"message": ""} == {
        "success": True, "data": [], "error": None, "message": "",
        "meta": dict(zip(NUMBERED, [0, 20, 1, 1, False, False], strict=True)),
    }  # fmt: skip
    meta = api.get("/api/v1/notifications/").json()["meta"]
    assert (meta["next"], meta["previous"], meta["has_next"], meta["has_previous"]) == (
        None, None, False, False,
    )  # fmt: skip


def test_templates_come_by_code(api, organization):
    for code in ("b", "a", "c"):
        TemplateFactory(organization=organization, code=code)
    assert [row["code"] for row in api.get("/api/v1/templates/").json()["data"]] == ["a", "b", "c"]


def walked(api, url, direction, cursor=None):
    """The ids of every page in turn, and the last page's meta."""
    pages = []
    while True:
        body = api.get(url, {"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        meta = body["meta"]
        assert list(meta) == [*NUMBERED, "next", "previous"]
        assert (meta["total"], meta["limit"], meta["page"], meta["total_pages"]) == (None, 3, None, None)
        assert (meta["next"] is None, meta["previous"] is None) == (
            not meta["has_next"],
            not meta["has_previous"],
        )
        pages.append([row["id"] for row in body["data"]])
        if not (cursor := meta[direction]):
            return pages, meta


@pytest.mark.parametrize("what", ["notifications", "events"])
def test_cursors_go_through_every_row_once_and_back(what, api, user, version):
    made = [post(api, user).json()["data"]["id"] for _ in range(7)]
    url, expected = "/api/v1/notifications/", made[::-1]
    if what == "events":
        events = Notification.objects.get(pk=made[0]).events
        for _ in range(6):
            events.create(kind="note")
        url, expected = f"{url}{made[0]}/events/", [str(event.pk) for event in events.order_by("id")]

    forth, meta = walked(api, url, "next")
    back, _ = walked(api, url, "previous", meta["previous"])

    assert forth == [expected[:3], expected[3:6], expected[6:]]
    assert back == [expected[3:6], expected[:3]]


def test_a_row_that_comes_between_moves_no_page(api, user, version):
    made = [post(api, user).json()["data"]["id"] for _ in range(4)]
    first = api.get("/api/v1/notifications/?limit=2").json()
    newest = post(api, user).json()["data"]["id"]

    second = api.get(f"/api/v1/notifications/?limit=2&cursor={first['meta']['next']}").json()

    assert [row["id"] for row in second["data"]] == [made[1], made[0]]
    assert second["meta"]["has_next"] is False
    before = api.get(f"/api/v1/notifications/?limit=9&cursor={second['meta']['previous']}").json()
    assert [row["id"] for row in before["data"]] == [newest, made[3], made[2]]


@pytest.mark.parametrize("given", ["x", "a" * 128, "order/7?x=<y>&z='\"{}", "!~"])
def test_a_sane_correlation_id_comes_back(given, api, user, version):
    for path in ("users/", "nothing/"):
        assert api.get(f"/api/v1/{path}", headers={"X-Correlation-ID": given})["X-Correlation-ID"] == given
    answer = post(api, user, headers={"X-Correlation-ID": given})
    assert answer["X-Correlation-ID"] == given
    shown = api.get(answer["Location"]).json()["data"]
    assert shown["correlation_id"] == given
    found = api.get("/api/v1/notifications/", {"correlation_id": given}).json()["data"]
    assert [row["id"] for row in found] == [shown["id"]]


@pytest.mark.parametrize(
    "given", ["", " ", "a b", "a" * 129, "é", "a\r\nSet-Cookie: x=1", "a\n", "\0", "a\tb"]
)
def test_another_correlation_id_is_replaced(given, api, user, version):
    answer = post(api, user, headers={"X-Correlation-ID": given})

    assert answer.status_code == 202
    assert UUID.fullmatch(answer["X-Correlation-ID"])
    assert Notification.objects.get().correlation_id == answer["X-Correlation-ID"]


def test_the_header_wins_over_the_metadata(api, user, version):
    metadata = {"correlation_id": "from-metadata"}
    post(api, user, metadata=metadata)
    post(api, user, metadata=metadata, headers={"X-Correlation-ID": "from-header"})

    assert [row.correlation_id for row in Notification.objects.order_by("id")] == [
        "from-metadata",
        "from-header",
    ]


def test_an_unexpected_error_is_a_500_in_the_envelope(api, organization, monkeypatch):
    def broken(*_):
        raise RuntimeError("the password is swordfish")

    api.raise_request_exception = False
    monkeypatch.setattr("apps.users.api.views.users.UserRows.get_queryset", broken)

    answer = api.get("/api/v1/users/")

    refused(answer, 500, "internal_error")
    assert b"swordfish" not in answer.content


def test_an_unavailable_database_is_a_503(api, organization, monkeypatch):
    def away(*_):
        raise OperationalError("connection to 10.0.0.7 refused")

    monkeypatch.setattr("apps.users.api.views.users.UserRows.get_queryset", away)

    answer = api.get("/api/v1/users/")

    refused(answer, 503, "database_unavailable")
    assert int(answer["Retry-After"]) > 0
    assert b"10.0.0.7" not in answer.content


@pytest.mark.parametrize("path", ["health/", "health/ready/", "health/live/"])
def test_health_is_open_to_everybody(path, db):
    answer = APIClient().get(f"/api/v1/{path}")
    assert (answer.status_code, list(answer.json())) == (200, ENVELOPE)
    assert answer.json()["data"]["status"] == "ok"


def test_readiness_names_what_is_unavailable(db, settings, monkeypatch):
    monkeypatch.setattr("notifier.http.health.CACHED_SECONDS", 0.0)
    settings.BROKER_URL = "amqp://guest:guest@127.0.0.1:1//"
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = APIClient().get("/api/v1/health/ready/")
    assert answer.status_code == 200
    assert answer.json()["data"] == {
        "status": "degraded",
        "database": "ok",
        "broker": "down",
        "cache": "down",
        "loops": "ok",
    }

    monkeypatch.setattr("notifier.http.health._database", lambda: "down")
    body = refused(APIClient().get("/api/v1/health/ready/"), 503, "database_unavailable")
    assert body["data"]["status"] == "down"


def test_answers_are_utf8_json(api, organization):
    name = "Zoë 💌 </script>"
    answer = api.post("/api/v1/users/", {"email": "z@example.com", "name": name})
    assert json.loads(answer.content.decode("utf-8"))["data"]["name"] == name
    assert User.objects.get().name == name
