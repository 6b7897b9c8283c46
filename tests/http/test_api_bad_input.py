"""An unreadable body gets the same error at every endpoint, at once, and nothing is stored."""

import json
import time

import pytest

from apps.users.models import Organization
from tests.support.routes import TAKING, refused, stored, world_of

MIB = 1024 * 1024
UNREADABLE = {
    "cut off": b'{"a": ',
    "not JSON": b"a=b",
    "two values": b"{}{}",
    "single quotes": b"{'a': 1}",
    "a comment": b"{} // yes",
    "a trailing comma": b'{"a": 1,}',
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "latin-1": '{"a": "é"}'.encode("latin-1"),
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": [-Infinity]}',
    "a number of 100,000 digits": b'{"a": ' + b"9" * 100_000 + b"}",
    "a raw control character": b'{"a": "x\ny"}',
    "nested 33 deep": b'{"a":' + b"[" * 32 + b"]" * 32 + b"}",
    "objects nested 33 deep": b'{"a":' * 32 + b"{}" + b"}" * 32,
    "nested 100,000 deep": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested 100,000 deep and left open": b"[" * 100_000,
    "objects nested 40,000 deep": b'{"a":' * 40_000,
}
UNSTORABLE = {
    "a NUL in a text": (b'{"a": "x\\u0000y"}', "a"),
    "a NUL alone": (b'["\\u0000"]', "body[0]"),
    "no object at all": (b'"\\u0000"', "body"),
    "a NUL deep inside": (b'{"a": {"b": [1, {"c": "\\u0000"}]}}', "a.b[1].c"),
    "a NUL in a list of lists": (b'[[1, 2], [3, "\\u0000"]]', "body[1][1]"),
    "a NUL in a name": (b'{"a\\u0000": 1}', "body"),
    "a NUL in a name inside": (b'{"a": [{"\\u0000": 1}]}', "a[0]"),
    "a NUL below an odd name": (b'{"\\u0001x": "\\u0000"}', "\x01x"),
    "half a surrogate pair": (b'{"a": "\\ud800"}', "a"),
    "half a surrogate pair in a name": (b'{"a": {"\\udfff": 1}}', "a"),
    "a float past all bounds": (b'{"a": {"b": 1e400}}', "a.b"),
    "a float past all bounds below": (b'{"a": [0, -1e999]}', "a[1]"),
    "a number past 64 bits": (b'{"a": 99999999999999999999}', "a"),
    "below a name of 1,000 letters": (b'{"' + b"n" * 1000 + b'": "\\u0000"}', "n" * 100),
}
"""Valid JSON that can't be stored unchanged, and the field that the error names."""
NO_OBJECT = {
    "a list": b"[]",
    "a list of objects": b"[{}]",
    "a string": b'"x"',
    "null": b"null",
    "a number": b"1",
}

OTHER_TYPES = [
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml",
    "application/json5", "nonsense", ";", "application/octet-stream",
]  # fmt: skip


@pytest.fixture
def world(api, user, version):
    # Made at its first use, which may be one of the requests here or an earlier test's.
    Organization.objects.default()
    api.raise_request_exception = False
    return world_of(api, user)


def send(api, route, world, raw, content_type="application/json"):
    return api.generic(route.method, route.url(world), raw, content_type=content_type)


@pytest.mark.parametrize("route", TAKING, ids=str)
def test_unreadable_bodies_are_400(route, api, world, monkeypatch):
    monkeypatch.setattr("django_ratelimit.decorators.is_ratelimited", lambda **_: False)
    before = stored()
    for name, raw in UNREADABLE.items():
        begun = time.thread_time()

        body = refused(send(api, route, world, raw), 400, "malformed_json")

        assert time.thread_time() - begun < 1, name
        assert len(body["message"]) < 300, name
    assert stored() == before


@pytest.mark.parametrize("name", ["users", "notifications", "batch"])
def test_sound_json_that_cant_be_stored_is_not_called_malformed(name, api, world):
    before = stored()
    route = next(route for route in TAKING if route.name == name)
    for case, (raw, field) in UNSTORABLE.items():
        body = refused(send(api, route, world, raw), 400, "validation_error")
        assert [(entry["field"], entry["code"]) for entry in body["errors"]] == [(field, "unstorable")], case
        assert "JSON" not in body["message"] + body["errors"][0]["detail"], case
    assert stored() == before


def test_only_an_object_is_a_request(api, world):
    before = stored()
    for route in TAKING:
        for raw in NO_OBJECT.values():
            body = refused(send(api, route, world, raw), 400, "validation_error")
            assert [entry["field"] for entry in body["errors"]] == ["body"]
    assert stored() == before


def test_a_body_too_large_is_413(api, world):
    before = stored()
    for route in TAKING:
        limit = 4 * MIB if route.name == "batch" else 256 * 1024
        for size in (limit + 1, 5 * MIB):
            raw = b'{"a": "' + b"x" * (size - 9) + b'"}'
            refused(send(api, route, world, raw), 413, "payload_too_large")
    assert stored() == before


def test_the_largest_body_is_read(api, world):
    raw = b'{"a": "' + b"x" * (256 * 1024 - 9) + b'"}'
    answer = api.post("/api/v1/users/", raw, content_type="application/json")
    assert {entry["field"] for entry in refused(answer, 400, "validation_error")["errors"]} == {"a"}


def test_another_content_type_is_415(api, world, monkeypatch):
    monkeypatch.setattr("django_ratelimit.decorators.is_ratelimited", lambda **_: False)
    before = stored()
    for route in TAKING:
        for content_type in OTHER_TYPES:
            answer = send(api, route, world, b'{"a": 1}', content_type)
            refused(answer, 415, "unsupported_media_type")
    assert stored() == before


def test_unknown_fields_are_named(api, world):
    before = stored()
    for route in TAKING:
        body = refused(route.call(api, world, urgent=True, **{"reply-to": "x"}), 400, "validation_error")

        assert [(entry["field"], entry["code"]) for entry in body["errors"]] == [
            ("reply-to", "unknown_field"),
            ("urgent", "unknown_field"),
        ]
        assert "reply-to" in body["message"]
    assert stored() == before


def test_thousands_of_unknown_fields_give_a_short_answer(api, world):
    for route in TAKING:
        answer = route.call(api, world, **{f"field-{number}-{'x' * 500}": 1 for number in range(400)})

        assert len(refused(answer, 400, "validation_error")["errors"]) == 10
        assert len(answer.content) < 10_000


def test_nesting_of_32_is_accepted(api, world):
    def variables(depth):
        return {"name": "Ada", "deep": json.loads("[" * depth + "]" * depth)}

    sound = next(route for route in TAKING if route.name == "notifications")

    # The body is the first level, the variables are the second.
    assert sound.call(api, world, variables=variables(30)).status_code == 202
    refused(sound.call(api, world, variables=variables(31)), 400, "malformed_json")


def test_of_two_equal_keys_the_last_counts(api, world):
    raw = b'{"email": "first@example.com", "email": "last@example.com"}'

    answer = api.post("/api/v1/users/", raw, content_type="application/json")

    assert (answer.status_code, answer.json()["data"]["email"]) == (201, "last@example.com")


@pytest.mark.parametrize("charset", ["", "; charset=utf-8", "; charset=latin-1", "; charset=x"])
def test_json_is_utf8_whatever_its_header_says(charset, api, world):
    raw = '{"email": "a@example.com", "name": "Zoë"}'.encode()

    answer = api.generic("POST", "/api/v1/users/", raw, content_type=f"application/json{charset}")

    assert (answer.status_code, answer.json()["data"]["name"]) == (201, "Zoë")
