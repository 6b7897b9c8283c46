"""Each field of each body with values of the wrong type, shape and size: a 400 that names it, and nothing stored."""

import json
from typing import Any

import pytest

from apps.users.models import Organization
from tests.conftest import post
from tests.support.factories import EMAIL_EN, PUSH_EN
from tests.support.routes import TAKING, refused, stored, world_of

NUMBERS = [5, 1.5, True]
WRONG: dict[type, list[Any]] = {
    str: [*NUMBERS, None, [], {}, ["x"], {"x": "x"}],
    bool: [1, 0, "true", "", None, [], {}],
    int: ["5", "", 1.5, True, None, [], {}, 2**63, -(2**63)],
    dict: ["x", "", *NUMBERS, None, []],
    list: ["x", "", *NUMBERS, None, {}],
}
REQUIRED = {
    "login": {"email", "password"},
    "users-login": {"email", "password"},
    "register": {"email", "password"},
    "refresh": {"refresh"},
    "logout": {"refresh"},
    "users": {"email"},
    "devices": {"token", "platform"},
    "admin-login": {"email", "password"},
    "api-keys": {"name"},
    "categories": {"code", "name"},
    "templates": {"code", "name"},
    "versions": {"contents"},
    "activate": {"version"},
    "suppressions": {"channel", "recipient"},
    "suppression-lift": {"reason"},
    "notifications": {"user_id", "template_code"},
    "notify": {"user_id", "template_code"},
}
BREAKS = ["\n", "\r", "\r\nBcc: x@example.com", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\u2029"]
LINES: dict[str, dict[str, str]] = {
    "login": {"email": "ada@example.com", "organization": "acme"},
    "register": {"email": "b@example.com", "name": "B", "language": "fr", "timezone": "UTC"},
    "refresh": {"refresh": "a.b.c"},
    "logout": {"refresh": "a.b.c"},
    "users": {
        "email": "b@example.com", "name": "B", "language": "fr", "timezone": "UTC", "role": "member",
    },
    "user": {
        "email": "b@example.com", "name": "B", "language": "fr", "timezone": "UTC", "role": "member",
    },
    "devices": {"token": "a-token-000001", "platform": "ios", "name": "Phone"},
    "device": {"token": "a-token-000001", "platform": "ios", "name": "Phone"},
    "api-keys": {"name": "Shop"},
    "categories": {"code": "receipts", "name": "Receipts"},
    "category": {"name": "Receipts"},
    "templates": {"code": "bye", "name": "Bye", "on_unknown": "hold"},
    "template": {"name": "Bye", "on_unknown": "hold"},
    "versions": {"note": "Kinder"},
    "preview": {"language": "en"},
    "notifications": {
        "user_id": "6f6bb2b4-7c5e-4d0c-9c0b-8a3f5f0f3a10", "template_code": "hello", "language": "en",
        "request_id": "order-2",
    },
}  # fmt: skip
"""Fields of one line (headers, addresses, ids, codes, items of lists), each with a valid value."""
LONGEST = {
    ("login", "password"): 1024, ("login", "organization"): 63,
    ("register", "password"): 1024, ("register", "name"): 200, ("refresh", "refresh"): 4096,
    ("logout", "refresh"): 4096,
    ("users", "name"): 200, ("user", "name"): 200, ("devices", "token"): 4096, ("device", "token"): 4096,
    ("api-keys", "name"): 100, ("categories", "code"): 50, ("categories", "name"): 200,
    ("devices", "name"): 100, ("templates", "code"): 100, ("templates", "name"): 200,
    ("templates", "description"): 2000, ("versions", "note"): 200, ("notifications", "request_id"): 255,
    ("notifications", "template_code"): 100, ("suppressions", "reason"): 64,
    ("suppressions", "detail"): 500, ("suppression-lift", "reason"): 200,
}  # fmt: skip
ADDRESSES = [
    "", " ", "ada", "ada@", "@example.com", "a b@example.com", "a@b@example.com", " ada@example.com",
    "ada@example.com ", "Ada <ada@example.com>", "a@example.com,b@example.com", "x" * 65 + "@" + "y" * 190 + ".com",
    '"a\nb"@example.com', "ada@-example.com", "ada@example..com",
]  # fmt: skip
LANGUAGES = ["english", "e", "fr_CA", "fr-", "-fr", "fr--CA", "fr CA", "é", "x" * 36, "../etc"]
ZONES = ["Mars/Olympus", "europe/paris", "../UTC", "UTC ", "+02:00", "", "x" * 65]
TIMES = [
    "yesterday",
    "2026-02-30T00:00:00Z",
    "2026-01-01T25:00:00Z",
    "",
    "1767225600",
    "9999-12-31T23:59:59-14:00",
]
CLOCKS = ["25:00", "22:60", "22", "22:00:00", "2:00", " 22:00", "22:00Z", "٢٢:٠٠", "", "noon"]
PEOPLE = {
    "email": ADDRESSES,
    "language": LANGUAGES,
    "timezone": ZONES,
    "role": ["king", "", "ADMIN"],
    "quiet_from": CLOCKS,
    "quiet_until": CLOCKS,
}
REGISTRATION = {name: PEOPLE[name] for name in ("email", "language", "timezone")}
DEVICES = {"platform": ["fax", "", "IOS"], "token": ["", " ", "\u3000"]}
SENSELESS: dict[str, dict[str, list[Any]]] = {
    "users": PEOPLE,
    "user": PEOPLE,
    "register": {**REGISTRATION, "password": ["", "short", "password1234", "new@example.com"]},
    "devices": DEVICES,
    "device": DEVICES,
    "api-keys": {
        "name": ["", " "],
        "scopes": [[], ["everything"], ["users:read"] * 99],
        "expires_at": [*TIMES, "2020-01-01T00:00:00Z"],
    },
    "api-key-rotate": {"overlap": [-1, 7 * 24 * 3600 + 1]},
    "categories": {"code": ["", "News", "a b", "-a", "é", "a/b", "a\n", "news"], "name": ["", " "]},
    "category": {"code": ["other"], "name": [""]},
    "templates": {
        "code": ["", "Hello", "a b", "-a", "é", "a/b", "a\n", "hello"],
        "name": ["", " "],
        "on_unknown": ["maybe", ""],
        "contents": [[]],
    },
    "template": {"code": ["other"], "contents": [[EMAIL_EN]], "name": [""]},
    "suppressions": {"channel": ["fax", ""], "recipient": ADDRESSES, "reason": ["", " "]},
    "suppression-lift": {"reason": ["", " "]},
    "activate": {"version": [0, -1, 2, 2**31, 2**40]},
    "preview": {"version": [0, -1, 2, 2**31], "language": LANGUAGES},
    "notifications": {
        "user_id": ["", "1", "x" * 36, "{6f6bb2b4}"],
        "template_code": ["", "Hello", "absent", "a b"],
        "channels": [[], ["fax"], ["email", 5], [None], [["email"]], ["email"] * 9],
        "language": [*LANGUAGES, ""],
        "request_id": ["", "a b", "é", "a/b", "x" * 256],
        "priority": [0, 11, -1, 2**62],
        "scheduled_at": [*TIMES, "2999-01-01T00:00:00Z"],
        "expires_at": [*TIMES, "2020-01-01T00:00:00Z"],
        "notification_type": ["fax", "email", "push"],  # beside `channels` no value fits
    },
}


RECIPIENTS: list[tuple[Any, str]] = [
    ({}, "recipient"),
    ({"email": ""}, "recipient.email"),
    *(({"email": address}, "recipient.email") for address in ADDRESSES),
    *(({"email": f"b{character}@example.com"}, "recipient.email") for character in BREAKS),
    *(({"device_token": f"token{character}"}, "recipient.device_token") for character in BREAKS),
    ({"device_token": ""}, "recipient.device_token"),
    ({"device_token": "x" * 4097}, "recipient.device_token"),
    ({"device_token": ["x"]}, "recipient.device_token"),
    ({"email": "b@example.com", "language": "fr\r\n"}, "recipient.language"),
    ({"email": "b@example.com", "timezone": "Mars/Olympus"}, "recipient.timezone"),
    ({"email": "b@example.com", "name": "B"}, "recipient.name"),
    ({"email": None, "device_token": "x"}, "recipient.email"),
]
CONTENTS: list[tuple[Any, str]] = [
    ({**EMAIL_EN, "channel": "fax"}, "channel"),
    ({**EMAIL_EN, "channel": None}, "channel"),
    ({**EMAIL_EN, "language": ""}, "language"),
    ({**EMAIL_EN, "language": "en\r\n"}, "language"),
    ({**EMAIL_EN, "subject": 5}, "subject"),
    ({**EMAIL_EN, "subject": None}, "subject"),
    ({**EMAIL_EN, "subject": ""}, "subject"),
    ({**EMAIL_EN, "html": ["x"]}, "html"),
    ({**EMAIL_EN, "html": "x" * 65537}, "html"),
    ({**EMAIL_EN, "title": "Hello"}, "title"),
    ({**EMAIL_EN, "sms": "Hello"}, "sms"),
    ({"channel": "email", "language": "en", "subject": "Hello"}, "text"),
    ({**PUSH_EN, "title": ""}, "title"),
    ({**PUSH_EN, "subject": "Hello"}, "subject"),
    ({**PUSH_EN, "data": []}, "data"),
    ({**PUSH_EN, "data": {"": "x"}}, "data"),
    ({**PUSH_EN, "data": {"a\r\nb": "x"}}, "data"),
    ({**PUSH_EN, "data": {"x" * 256: "x"}}, "data"),
    ({**PUSH_EN, "data": {"order": 5}}, "data.order"),
    ({**PUSH_EN, "data": {"order": None}}, "data.order"),
    ({**PUSH_EN, "data": {"order": "{{ x"}}, "data.order"),
    ({**EMAIL_EN, "html": "{% if %}"}, "html"),
    ({}, "channel"),
    ("x", ""),
    (None, ""),
    ([], ""),
]
KEYS = ["", " ", '""', "a\r\nb", "a\tb", "a b\x7f", "ü", "x" * 256, '"' + "x" * 256 + '"']


@pytest.fixture
def world(api, user, version):
    api.raise_request_exception = False
    # Whom a registration is for; the first one would make it.
    Organization.objects.default()
    return world_of(api, user)


def routes_of(table):
    return [pytest.param(route, id=str(route)) for route in TAKING if route.name in table]


def errors(answer, context):
    assert answer.status_code == 400, (context, answer.content)
    return {entry["field"].partition("[")[0] for entry in refused(answer, 400, "validation_error")["errors"]}


@pytest.mark.parametrize("route", TAKING, ids=str)
def test_a_wrong_type_is_named(route, api, world, monkeypatch):
    monkeypatch.setattr("django_ratelimit.decorators.is_ratelimited", lambda **_: False)
    before = stored()
    for field, sound in (route.body or {}).items():
        for value in WRONG[type(sound)]:
            assert errors(route.call(api, world, **{field: value}), (field, value)) == {field}
    assert stored() == before


@pytest.mark.parametrize("wrong", [{"priority": "5"}, {"request_id": 5}, {"request_id": 1.5}], ids=str)
def test_a_notification_takes_no_number_for_a_text(wrong, api, user, version):
    answer = post(api, user, **wrong)
    assert errors(answer, wrong) == set(wrong)


@pytest.mark.parametrize("route", routes_of(REQUIRED))
def test_missing_fields_are_named(route, api, world):
    before = stored()
    answer = api.generic(route.method, route.url(world), b"{}", content_type="application/json")
    empty = api.generic(route.method, route.url(world), b"", content_type="application/json")

    for found in (answer, empty):
        body = refused(found, 400, "validation_error")
        missing = {entry["field"] for entry in body["errors"] if entry["code"] == "required"}
        assert missing <= REQUIRED[route.name]
        assert missing
    for field in REQUIRED[route.name]:
        rest = {key: value for key, value in route.sound(world).items() if key != field}
        raw = json.dumps(rest)
        answer = api.generic(route.method, route.url(world), raw, content_type="application/json")
        assert errors(answer, field) == {field}
    assert stored() == before


@pytest.mark.parametrize("route", routes_of(LINES))
def test_a_line_break_or_control_character_is_refused(route, api, world, monkeypatch):
    monkeypatch.setattr("django_ratelimit.decorators.is_ratelimited", lambda **_: False)
    before = stored()
    for field, sound in LINES[route.name].items():
        for character in BREAKS:
            for value in (sound + character, character + sound, sound[:1] + character + sound[1:]):
                assert errors(route.call(api, world, **{field: value}), (field, value)) == {field}
    assert stored() == before


@pytest.mark.parametrize(("name", "field"), LONGEST)
def test_a_value_may_be_so_long_and_no_longer(name, field, api, world):
    route = next(route for route in TAKING if route.name == name)
    before = stored()
    assert errors(route.call(api, world, **{field: "x" * (LONGEST[name, field] + 1)}), field) == {field}
    assert stored() == before

    answer = route.call(api, world, **{field: "x" * LONGEST[name, field]})

    # Unknown names and passwords are a matter of their own.
    assert answer.status_code in (200, 201, 202, 401) or field == "template_code"


@pytest.mark.parametrize("route", routes_of(SENSELESS))
def test_a_value_without_sense_is_named(route, api, world, monkeypatch):
    monkeypatch.setattr("django_ratelimit.decorators.is_ratelimited", lambda **_: False)
    before = stored()
    for field, values in SENSELESS[route.name].items():
        for value in values:
            assert errors(route.call(api, world, **{field: value}), (field, value)) == {field}
    assert stored() == before


def test_a_recipient_is_checked(api, version):
    before = stored()
    for recipient, field in RECIPIENTS:
        answer = api.post("/api/v1/notifications/", {"template_code": "hello", "recipient": recipient})
        assert [entry["field"] for entry in refused(answer, 400)["errors"]][:1] == [field], recipient
    assert stored() == before


@pytest.mark.parametrize("url", ["templates/", "templates/hello/versions/"])
def test_a_content_is_checked(url, api, version):
    before = stored()
    rest = {"code": "bye", "name": "Bye"} if url == "templates/" else {}
    sound = {**EMAIL_EN, "language": "fr"}
    for content, field in CONTENTS:
        answer = api.post(f"/api/v1/{url}", {**rest, "contents": [sound, content]})
        names = {entry["field"] for entry in refused(answer, 400, "validation_error")["errors"]}
        assert f"contents[1].{field}".rstrip(".") in names, content
    assert stored() == before


def test_an_idempotency_key_is_checked(api, user, version):
    before = stored()
    for key in KEYS:
        assert errors(post(api, user, headers={"Idempotency-Key": key}), key) == {"Idempotency-Key"}
    assert stored() == before


def test_a_correlation_id_in_the_metadata_is_checked(api, user, version):
    before = stored()
    for given in ["", "a b", "é", "a\r\nb", "x" * 129, 5, True, [], {}]:
        answer = post(api, user, metadata={"correlation_id": given})
        assert errors(answer, given) == {"metadata.correlation_id"}
    assert stored() == before


def test_one_person_and_not_two(api, user, version):
    before = stored()
    both = post(api, user, recipient={"email": "b@example.com"})

    assert errors(both, "both") == errors(post(api), "neither") == {"user_id"}
    assert stored() == before
