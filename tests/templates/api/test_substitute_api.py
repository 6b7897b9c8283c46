"""Rendered text only, for callers who send it another way."""

import pytest

from tests.support.factories import EMAIL_EN, PUSH_EN, OrganizationFactory, template_with
from tests.support.routes import refused, stored

URL = "/api/v1/templates/substitute/"
HELLO = {"email": "Hello Ada", "push": "Hello Ada"}


def substitute(api, **body):
    body.setdefault("variables", {"name": "Ada"})
    answer = api.post(URL, body)
    assert answer.status_code == 200, answer.content
    found = answer.json()["data"]["contents"]
    return {channel: parts.get("subject") or parts.get("title") for channel, parts in found.items()}


def errors(answer):
    return [(entry["field"], entry["code"]) for entry in refused(answer, 400, "validation_error")["errors"]]


def test_a_template_or_contents_of_ones_own(api, version):
    before = stored()
    assert substitute(api, template_code="hello") == HELLO
    assert substitute(api, contents=[EMAIL_EN, PUSH_EN]) == HELLO
    own = [{**EMAIL_EN, "subject": "Salut {{ name }}", "language": "fr"}, EMAIL_EN]
    assert substitute(api, contents=own, language="fr-CA") == {"email": "Salut Ada"}
    html = [{**EMAIL_EN, "html": "<b>{{ name }}</b>"}]
    answer = api.post(URL, {"contents": html, "variables": {"name": "<i>"}}).json()["data"]
    assert answer["contents"]["email"]["html"] == "<b>&lt;i&gt;</b>"
    assert stored() == before


def test_declared_variables_are_kept_to(api, organization):
    declared = [{"name": "name", "type": "string", "default": "friend"}, {"name": "n", "type": "number"}]
    body = {"code": "hello", "name": "Hello", "contents": [EMAIL_EN], "variables": declared}
    assert api.post("/api/v1/templates/", body).status_code == 201
    assert substitute(api, template_code="hello", variables={}) == {"email": "Hello friend"}
    answer = api.post(URL, {"template_code": "hello", "variables": {"n": "1"}})
    assert errors(answer) == [("variables.n", "wrong_type")]


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "template_code", "required"),
        ({"template_code": "hello", "contents": [EMAIL_EN]}, "template_code", "required"),
        ({"template_code": "absent"}, "template_code", "not_found"),
        ({"template_code": "empty"}, "template_code", "no_active_version"),
        ({"template_code": "hello", "variables": {}}, "variables.name", "required"),
        ({"contents": [EMAIL_EN], "variables": {}}, "email.subject", "invalid"),
        ({"contents": [{**EMAIL_EN, "html": "{% if %}"}]}, "contents[0].html", "invalid"),
        ({"contents": [EMAIL_EN, {**EMAIL_EN, "subject": ""}]}, "contents[1]", "invalid"),
        ({"contents": [{**EMAIL_EN, "subject": ""}]}, "contents[0].subject", "invalid"),
        ({"contents": []}, "contents", "empty"),
        (
            {"contents": [{**EMAIL_EN, "language": tag} for tag in ("fr", "de")], "language": "it"},
            "language", "no_content",
        ),
    ],
)  # fmt: skip
def test_what_cant_be_substituted_is_named(body, field, code, api, version):
    api.post("/api/v1/templates/", {"code": "empty", "name": "Empty"})
    assert errors(api.post(URL, {"variables": {"name": "Ada"}, **body})) == [(field, code)]


def test_another_organizations_template_is_none_here(api, version):
    template_with(OrganizationFactory(), code="theirs")
    assert errors(api.post(URL, {"template_code": "theirs"})) == [("template_code", "not_found")]


def test_no_template_can_take_this_path(api, organization):
    body = {"code": "substitute", "name": "Substitute"}
    assert errors(api.post("/api/v1/templates/", body)) == [("code", "reserved")]
