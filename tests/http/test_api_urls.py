"""Invalid URLs and query parameters, hostile or mistaken."""

import uuid

import pytest

from tests.support.routes import GUARDED, PARTS, refused, stored, world_of

LISTS = [
    "users",
    "templates",
    "notifications",
    "versions",
    "events",
    "devices",
    "admin-users",
    "api-keys",
    "categories",
]


@pytest.fixture
def world(api, user, version):
    api.raise_request_exception = False
    return world_of(api, user)


def url_of(name, world):
    return next(route for route in GUARDED if (route.name, route.method) == (name, "GET")).url(world)


ABSENT_PATHS = [
    "", "nothing/", "users", "users/1/", "users/%00/", "users/../admin/", "users//", "templates/UPPER/",
    "templates/%00/", "templates/a%2Fb/", "templates/%ff/", "templates/é/", "templates/x/versions/0/",
    "notifications/%00/", "notifications/a%20b/", "notifications/%F0%9F%92%A9/", "notifications/%ed%a0%80/",
    "notifications/x/nothing/", "health", "%", "%zz/", "users/%0d%0aX-Evil:%201/", "x" * 3000 + "/",
    "notifications/" + "x" * 256 + "/", "templates/" + "x" * 101 + "/",
]  # fmt: skip
LIMITS = ["0", "-1", "101", "abc", "1.5", "", "%00", "9" * 400, "9" * 5000, "٣", "1e1", " 1", "+1"]
PAGES = ["0", "-1", "abc", "1.5", "", "%00", "last", "9" * 400, "²"]
CURSORS = [
    # p=abc, p=<a UUID>'--, p=%00, r=1&p=x, o=-1, o=x, p=1, o=5, and what is no cursor at all
    "cD1hYmM=", "cD0wMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDAnLS0=", "cD0lMDA=", "cj0xJnA9eA==",
    "bz0tMQ==", "bz14", "cD0x", "bz01", "x", "%00", "%ff", "é", "====", "", "x" * 600,
]  # fmt: skip
MISSPELT = ["stauts=sent", "%00=1", "%0d%0a=1", "x[]=1", "organization=other"]
SENSELESS = [
    ("users", "email=%00", "email"),
    ("users", "email=", "email"),
    ("users", "email=a%0d%0ab@example.com", "email"),
    ("users", "email=" + "x" * 255, "email"),
    ("notifications", "status=happy", "status"),
    ("notifications", "status=%00", "status"),
    ("notifications", "channel=fax", "channel"),
    ("notifications", "user=1", "user"),
    ("notifications", "user=%00", "user"),
    ("notifications", "template=NO", "template"),
    ("notifications", "template=a%00", "template"),
    ("notifications", "created_after=yesterday", "created_after"),
    ("notifications", "created_before=2026-13-01", "created_before"),
    ("notifications", "created_before=0001-01-01T00:00:00%2B14:00", "created_before"),
    ("notifications", "correlation_id=%0a", "correlation_id"),
    ("notifications", "correlation_id=" + "x" * 129, "correlation_id"),
]


def errors(answer):
    return {entry["field"] for entry in refused(answer, 400, "validation_error")["errors"]}


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_an_unknown_url_is_404(method, api):
    for path in ABSENT_PATHS:
        refused(getattr(api, method)(f"/api/v1/{path}"), 404, "not_found")


def test_an_id_that_does_not_exist_is_404(api, world):
    absent = {"pk": str(uuid.uuid4()), "device": str(uuid.uuid4()), "code": "absent", "key": "absent"}
    absent["letter"] = absent["api_key"] = str(uuid.uuid4())
    absent["suppression"] = str(uuid.uuid4())
    absent["address"] = "nobody@example.com"
    absent["category"] = absent["provider"] = absent["name"] = "absent"
    absent["number"] = "99"
    before = stored()
    for route in GUARDED:
        for part in PARTS.get(route.name, ()):
            body = refused(route.call(api, {**world, part: absent[part]}), 404, "not_found")
            assert body["message"] == "There is no such thing here."
    assert stored() == before


@pytest.mark.parametrize("name", LISTS)
def test_a_limit_that_cant_be_kept_is_400(name, api, world):
    for limit in LIMITS:
        assert errors(api.get(f"{url_of(name, world)}?limit={limit}")) == {"limit"}, limit


@pytest.mark.parametrize("name", ["users", "templates", "versions", "devices", "api-keys", "categories"])
def test_pages_are_numbered_from_one_to_the_last(name, api, world):
    for page in PAGES:
        assert errors(api.get(f"{url_of(name, world)}?page={page}")) == {"page"}, page
    for page in (2, 10**17):
        refused(api.get(f"{url_of(name, world)}?page={page}"), 404, "not_found")


@pytest.mark.parametrize("name", ["notifications", "events"])
def test_a_cursor_of_ones_own_making_is_400(name, api, world):
    for cursor in CURSORS:
        assert errors(api.get(f"{url_of(name, world)}?cursor={cursor}")) == {"cursor"}, cursor


@pytest.mark.parametrize(
    "name",
    [
        *LISTS,
    ],
)
def test_a_misspelt_filter_is_400(name, api, world):
    for query in MISSPELT:
        body = refused(api.get(f"{url_of(name, world)}?{query}"), 400, "validation_error")
        assert {entry["code"] for entry in body["errors"]} == {"unknown_field"}, query


def test_a_filter_that_makes_no_sense_is_400(api, world):
    for name, query, field in SENSELESS:
        assert errors(api.get(f"{url_of(name, world)}?{query}")) == {field}, query


def test_the_address_filter_is_exact_in_any_case(api, world):
    for query, found in {"ADA@EXAMPLE.COM": 1, "%ff": 0, "' OR 1=1--": 0, "%25": 0, "example.com": 0}.items():
        answer = api.get(f"/api/v1/users/?email={query}")
        assert (answer.status_code, len(answer.json()["data"])) == (200, found), query


def test_an_unknown_host_is_400(client):
    refused(client.get("/api/v1/users/", headers={"Host": "evil.example"}), 400, "bad_request")


def test_an_answer_in_another_format_is_406(api, organization):
    refused(api.get("/api/v1/users/", headers={"Accept": "text/html"}), 406, "not_acceptable")
