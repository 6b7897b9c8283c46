"""The check of every test's responses against the OpenAPI document: what it accepts and what it refuses."""

import copy

import pytest
from django.http import JsonResponse

from tests.conftest import post
from tests.support import described

SUCCESS = {"success": True, "data": None, "error": None, "message": "OK.", "meta": None}
REFUSAL = {"success": False, "data": None, "error": "not_found", "message": "No.", "meta": None}


@pytest.fixture
def answer(api, user, version):
    post(api, user)
    return api.get("/api/v1/notifications/")


def checked(answer, body, status=200, **headers):
    response = JsonResponse(body, status=status)
    for name, value in headers.items():
        response[name.replace("_", "-")] = value
    described.check(answer.wsgi_request, response)


def without(name):
    def take(body):
        del body["data"][0][name]

    return take


def setting(name, value):
    def put(body):
        body["data"][0][name] = value

    return put


LIES = [
    without("id"),
    without("deliveries"),
    setting("id", "not-an-id"),
    setting("id", None),
    setting("status", None),
    setting("user_id", 5),
    setting("scheduled_at", "soon"),
    setting("created_at", None),
    setting("deliveries", {}),
    setting("template", "hello"),
    setting("colour", "red"),
    lambda body: body.update(meta=None),
    lambda body: body.pop("message"),
    lambda body: body.update(error="oops"),
    lambda body: body["meta"].update(total=3),
    lambda body: body["meta"].pop("next"),
    lambda body: body.update(data={}),
    lambda body: body["data"][0]["deliveries"][0].update(attempts="none"),
]


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_the_document_does_not_describe_fails_its_test(lie, answer):
    body = answer.json()
    checked(answer, copy.deepcopy(body))
    lie(body)
    with pytest.raises(described.NotDescribed):
        checked(answer, body)


@pytest.mark.parametrize("status", [201, 202, 204, 302, 404, 409, 410, 418, 422, 502])
def test_so_does_a_status_that_is_not_declared(status, answer):
    with pytest.raises(described.NotDescribed):
        checked(answer, REFUSAL, status)


def test_and_another_content_type(answer):
    with pytest.raises(described.NotDescribed):
        checked(answer, answer.json(), Content_Type="text/html")


def test_it_looks_at_every_client(client, api):
    """The one of Django's and the one of DRF's come through the same door."""
    for one in (client, api):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(described, "check", lambda request, response: pytest.fail("looked"))
            with pytest.raises(pytest.fail.Exception, match="looked"):
                one.get("/api/v1/health/live/")


@pytest.mark.parametrize("path", ["/api/v1/nothing/", "/api/v1/users", "/api/v1/users/%00/"])
def test_a_path_that_leads_nowhere_is_answered_as_an_error(path, api):
    answer = api.get(path)
    assert answer.status_code == 404
    with pytest.raises(described.NotDescribed):
        checked(answer, {**REFUSAL, "error": None}, 404)
    with pytest.raises(described.NotDescribed):
        checked(answer, SUCCESS, 200)
