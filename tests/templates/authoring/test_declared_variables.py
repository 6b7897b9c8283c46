"""Declared variables: validated when a version is written, required and filled in when it is used."""

import pytest

from apps.notifications.models import Notification
from apps.templates import declarations
from tests.conftest import post
from tests.support.factories import EMAIL_EN
from tests.support.routes import refused, stored

URL = "/api/v1/templates/"
SUBJECT = "{{ name }} {{ order.number }} {{ order.currency }}"
CONTENT = {**EMAIL_EN, "subject": SUBJECT, "html": "", "text": "{{ link }} {% if day %}{{ day }}{% endif %}"}
DECLARED = [
    {"name": "name", "type": "string", "default": "friend", "example": "Ada", "description": "Whom."},
    {"name": "order.number", "type": "number", "required": True, "example": 7},
    {"name": "order.currency", "type": "string", "default": "EUR"},
    {"name": "link", "type": "url", "required": True, "example": "https://example.com/o/7"},
    {"name": "day", "type": "date"},
]
SOUND = {"order": {"number": 1}, "link": "https://example.com/"}


@pytest.fixture
def declared(api, organization):
    body = {"code": "hello", "name": "Hello", "contents": [CONTENT], "variables": DECLARED}
    answer = api.post(URL, body)
    assert answer.status_code == 201, answer.content
    return answer.json()["data"]


def versions(api):
    return api.get(f"{URL}hello/versions/").json()["data"]


def errors(answer):
    return {(entry["field"], entry["code"]) for entry in refused(answer, 400, "validation_error")["errors"]}


def test_declarations_are_kept_with_the_version(api, declared):
    (version,) = versions(api)
    assert version["variables"] == DECLARED
    assert version["required"] == ["link", "order.number"]
    assert version["optional"] == ["day", "name", "order.currency"]
    assert version["warnings"] == declared["warnings"] == []


def test_what_is_declared_and_not_used_is_reported(api, declared):
    unused = [{"name": "nickname", "type": "string"}, {"name": "order", "type": "object"}]
    answer = api.post(f"{URL}hello/versions/", {"contents": [CONTENT], "variables": unused, "activate": True})
    warnings = ["nickname is declared, but no content uses it."]
    assert (answer.status_code, answer.json()["data"]["warnings"]) == (201, warnings)
    assert api.get(f"{URL}hello/").json()["data"]["warnings"] == warnings


@pytest.mark.parametrize(
    ("variables", "field"),
    [
        ([{"name": "name"}], "variables[0].type"),
        ([{"type": "string"}], "variables[0].name"),
        ([{"name": "name", "type": "text"}], "variables[0].type"),
        ([{"name": "name", "type": "string", "requierd": True}], "variables[0].requierd"),
        ([{"name": "name", "type": "string", "required": "yes"}], "variables[0].required"),
        ([{"name": "name", "type": "string", "required": True, "default": "x"}], "variables[0].required"),
        *(
            ([{"name": name, "type": "string"}], "variables[0].name")
            for name in ("", "a b", "a..b", ".a", "a.", "1a", "items.0", "a[0]", "{{ a }}", "é", "a" * 101)
        ),
        ([DECLARED[0], DECLARED[1], DECLARED[0]], "variables[2].name"),
        ([{"name": "a", "type": "string"}, {"name": "a.b", "type": "string"}], "variables[1].name"),
        ([{"name": "a.b", "type": "string"}, {"name": "a", "type": "list"}], "variables[0].name"),
        *(
            ([{"name": "a", "type": kind, part: value}], f"variables[0].{part}")
            for part in ("default", "example")
            for kind, value in [
                ("string", 5), ("number", "5"), ("number", True), ("boolean", 1), ("list", {}), ("object", []),
                ("url", "example.com"), ("url", "javascript:alert(1)"), ("url", "https://"), ("url", "https://["),
                ("url", "https://a b"), ("url", 5), ("date", "tomorrow"), ("date", "2026-02-30"), ("date", 5),
                ("string", "x" * 9000),
            ]
        ),
        ([{"name": f"a{n}", "type": "string"} for n in range(101)], "variables"),
        ({"name": "string"}, "variables"),
        (["name"], "variables[0]"),
    ],
)  # fmt: skip
def test_declarations_are_checked(variables, field, api, organization):
    before = stored()
    body = {"code": "hello", "name": "Hello", "contents": [EMAIL_EN], "variables": variables}
    assert field in {name for name, _ in errors(api.post(URL, body))}
    assert stored() == before


def test_declarations_come_with_contents_and_never_change(api, declared):
    body = {"code": "bye", "name": "Bye", "variables": DECLARED}
    assert errors(api.post(URL, body)) == {("variables", "invalid")}
    assert errors(api.patch(f"{URL}hello/", {"variables": []})) == {("variables", "invalid")}


def test_defaults_are_filled_in_and_stored(api, user, declared):
    answer = post(api, user, variables=SOUND)

    assert answer.status_code == 202, answer.content
    filled = {"name": "friend", "order": {"number": 1, "currency": "EUR"}, "link": "https://example.com/"}
    assert Notification.objects.get().variables == filled
    shown = api.get(answer["Location"]).json()["data"]
    assert shown["variables"] == filled
    given = {**SOUND, "name": "Ada", "order": {"number": 1, "currency": "CHF"}}
    dry = api.post(
        "/api/v1/notifications/?dry_run=true",
        {"user_id": str(user.pk), "template_code": "hello", "variables": given},
    )
    assert dry.json()["data"]["rendered"]["email"]["subject"] == "Ada 1 CHF"


def test_null_is_the_same_as_not_there(api, user, declared):
    assert post(api, user, variables={**SOUND, "name": None, "day": None}).status_code == 202
    assert Notification.objects.get().variables["name"] == "friend"
    assert errors(post(api, user, variables={**SOUND, "link": None})) == {("variables.link", "required")}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"order": None, "link": None}, {("order.number", "required"), ("link", "required")}),
        ({"order": {}}, {("order.number", "required")}),
        ({"order": "A-1"}, {("order", "wrong_type")}),
        ({"order": [1]}, {("order", "wrong_type")}),
        ({"order": {"number": "1"}}, {("order.number", "wrong_type")}),
        ({"order": {"number": True}, "name": 5}, {("order.number", "wrong_type"), ("name", "wrong_type")}),
        ({"link": "ftp://example.com/"}, {("link", "wrong_type")}),
        ({"link": "x", "order": {}}, {("link", "wrong_type"), ("order.number", "required")}),
        ({"day": "tomorrow"}, {("day", "wrong_type")}),
    ],
)
def test_wrong_variables_are_named(given, expected, api, user, declared):
    before = stored()
    answer = post(api, user, variables={**SOUND, **given})
    assert errors(answer) == {(f"variables.{name}", code) for name, code in expected}
    assert stored() == before


def test_a_wrong_type_says_what_is_wanted(api, user, declared):
    (entry,) = refused(post(api, user, variables={**SOUND, "order": {"number": "1"}}), 400)["errors"]
    assert entry == {"field": "variables.order.number", "code": "wrong_type", "detail": "Send a number."}


@pytest.mark.parametrize("day", ["2026-01-31", "2026-01-31T08:00:00Z", "2026-01-31T08:00:00+02:00"])
def test_dates_may_have_a_time(day, api, user, declared):
    assert post(api, user, variables={**SOUND, "day": day}).status_code == 202


def test_one_item_of_a_batch_with_wrong_variables_spoils_no_other(api, user, declared):
    items = [
        {"user_id": str(user.pk), "template_code": "hello", "variables": variables}
        for variables in (SOUND, {**SOUND, "name": 5}, SOUND)
    ]
    answer = api.post("/api/v1/notifications/batch/", {"notifications": items}).json()["data"]
    assert [row["result"] for row in answer["results"]] == ["accepted", "rejected", "accepted"]
    assert answer["results"][1]["errors"][0]["field"] == "variables.name"


def test_undeclared_variables_are_required_as_before(api, user, declared):
    content = {**EMAIL_EN, "subject": "{{ name }} {{ city }}"}
    body = {"contents": [content], "variables": DECLARED[:1], "activate": True}
    version = api.post(f"{URL}hello/versions/", body).json()["data"]
    assert (version["required"], version["optional"]) == (["city"], ["name"])
    assert errors(post(api, user, variables={})) == {("variables.city", "required")}
    assert post(api, user, variables={"city": 5}).status_code == 202


def test_a_preview_without_variables_shows_the_examples(api, declared):
    def preview(**body):
        return api.post(f"{URL}hello/preview/", body)

    shown = preview().json()["data"]["contents"]["email"]
    assert (shown["subject"], shown["text"]) == ("Ada 7 EUR", "https://example.com/o/7 ")
    assert preview(variables=SOUND).json()["data"]["contents"]["email"]["subject"] == "friend 1 EUR"
    assert errors(preview(variables={**SOUND, "name": 5})) == {("variables.name", "wrong_type")}
    assert errors(preview(variables={})) == {("email.subject", "invalid")}


def test_all_defaults_and_examples_together_have_a_bound(api, organization):
    lists = [{"name": f"list{n}", "type": "list", "default": ["x" * 7_000]} for n in range(10)]
    body = {"code": "long", "name": "Long", "contents": [EMAIL_EN], "variables": lists}
    answer = api.post("/api/v1/templates/", body, format="json")
    assert answer.status_code == 400
    assert [entry["field"] for entry in answer.json()["errors"]] == ["variables[9].default"]
    body["variables"] = lists[:9]
    assert api.post("/api/v1/templates/", body, format="json").status_code == 201


def test_the_messages_of_a_batch_share_their_defaults():
    order = {"items": [[]] * 1_000}
    declared = [
        {"name": "order", "type": "object", "default": order},
        {"name": "order.number", "type": "number", "default": 7},
        {"name": "order.who.name", "type": "string", "default": "Ada"},
        {"name": "sent.at", "type": "string", "default": "now"},
    ]
    given = {"sent": {"by": "post"}}
    first, second = (declarations.applied(declared, (), given)[0] for _ in range(2))
    assert first == {
        "order": {**order, "number": 7, "who": {"name": "Ada"}},
        "sent": {"by": "post", "at": "now"},
    }
    assert first["order"]["items"] is second["order"]["items"]
    assert (given, list(order)) == ({"sent": {"by": "post"}}, ["items"])
