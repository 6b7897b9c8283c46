"""The OpenAPI document: complete, valid, with examples, and readable without the internet."""

import re

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from apps.notifications.models import Suppression
from apps.users.models import ApiKey, User
from tests.support.routes import ROUTES

LONGEST_SUMMARY = 120
"""Characters: what the pages show in a line or two beside the path."""


@pytest.fixture(scope="module")
def schema():
    from drf_spectacular.generators import SchemaGenerator

    return SchemaGenerator().get_schema(request=None, public=True)


def operations(schema):
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def resolved(schema, part):
    return schema["components"]["schemas"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part


def test_it_is_valid_and_without_warnings(tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


def test_it_describes_every_route(schema):
    assert len(list(operations(schema))) == len(ROUTES)


def test_every_answer_is_in_the_envelope(schema):
    for path, method, operation in operations(schema):
        for code, answer in operation["responses"].items():
            if code == "204":
                continue
            shape = resolved(schema, answer["content"]["application/json"]["schema"])
            assert {"success", "data", "error", "message", "meta"} == set(shape["required"]), (path, method)
            if code.startswith("4"):
                assert "errors" in shape["properties"]


def test_every_operation_has_a_description_and_its_errors(schema):
    for path, method, operation in operations(schema):
        assert operation.get("description"), (path, method)
        summary = operation["summary"]
        assert " ".join(operation["description"].split()).startswith(summary), (path, method)
        assert 0 < len(summary) <= LONGEST_SUMMARY, (path, method, summary)
        assert summary[-1] not in ".;", (path, method, summary)
        assert any(code.startswith("2") for code in operation["responses"]), (path, method)
        assert {"400", "406", "500", "503"} <= set(operation["responses"]), (path, method)
        # Each by itself: of a range nobody learns what to be ready for.
        assert all(re.fullmatch("[2-5][0-9][0-9]", code) for code in operation["responses"]), (path, method)


def test_every_operation_has_a_name_that_reads_well(schema):
    names = [operation["operationId"] for _, _, operation in operations(schema)]
    assert len(set(names)) == len(names)
    for name in names:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name), name
        assert not re.search(r"_(create|retrieve|destroy|partial_update)$", name), name
        assert len(name.split("_")) <= 5, name


def test_no_description_is_for_the_services_own_developers(schema):
    document = str(schema)
    for word in ("Serializer", "`context", "Refuses fields", "isinstance", "queryset", "docstring", "DRF"):
        assert word not in document, word


def test_each_kind_of_operation_says_what_it_may_refuse_with(schema):
    for path, method, operation in operations(schema):
        found, here = set(operation["responses"]), (path, method)
        guarded = any(entry for entry in operation.get("security", ()))
        assert not guarded or {"401", "403"} <= found, here
        assert "requestBody" not in operation or {"413", "415"} <= found, here
        assert "{" not in path or "404" in found, here
        assert "/health/" in path or "429" in found, here
        assert not guarded or method == "GET" or "409" in found, here
    for name in ("notifications/", "notify/", "notifications/batch/"):
        assert "422" in schema["paths"][f"/api/v1/{name}"]["post"]["responses"]
    for status in ("429", "503"):
        refusal = schema["paths"]["/api/v1/notifications/"]["post"]["responses"][status]
        assert "Retry-After" in refusal["headers"]


def test_a_list_says_what_its_pages_are(schema):
    shapes = {}
    for path, method, operation in operations(schema):
        if method == "GET":
            shape = operation["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
            data = resolved(schema, shape["data"])
            assert (data["type"] == "array") == ("$ref" in shape["meta"]), path
            shapes[path.removeprefix("/api/v1/")] = shape["meta"].get("$ref", "").rpartition("/")[2]
    assert shapes["notifications/"] == shapes["dead-letters/"] == shapes["audit/"] == "CursorPage"
    assert (
        shapes["users/"] == shapes["providers/"] == shapes["templates/layouts/{name}/uses/"] == "NumberedPage"
    )
    assert shapes["notifications/{key}/"] == shapes["health/"] == ""


def test_every_body_has_an_example_that_works(schema, api, user):
    bodies = [found for found in operations(schema) if "requestBody" in found[2]]
    assert len(bodies) == len([route for route in ROUTES if route.body is not None])
    User.objects.update(email="somebody.else@example.com")
    paths = {"{id}": str(user.pk), "{device}": str(user.devices.get().pk), "{code}": "order-shipped"}
    key, _ = ApiKey.objects.issue(organization=user.organization, name="Old")
    gone = Suppression.objects.create(organization=user.organization, channel="email", recipient_hash="x")
    paths |= {
        "{name}": "brand",
        "{category}": "newsletter",
        "{api_key}": str(key.pk),
        "{suppression}": str(gone.pk),
    }
    # The template comes before what uses it.
    for path, method, operation in sorted(bodies, key=lambda found: found[0] != "/api/v1/templates/"):
        (example,) = operation["requestBody"]["content"]["application/json"]["examples"].values()
        for part, value in paths.items():
            path = path.replace(part, value)
        if "auth/" not in path and "login" not in path:
            answer = getattr(api, method.lower())(path, example["value"])
            # An example's delivery can't exist; that it is looked for says that the body is sound.
            absent = path.endswith("/status/") and answer.status_code == 404
            assert absent or answer.status_code in (200, 201, 202), (path, answer.content)


def test_open_routes_ask_for_no_credentials(schema):
    for path, method, operation in operations(schema):
        is_open = any(word in path for word in ("login", "health", "register", "refresh", "logout", "reset"))
        is_open |= path == "/api/v1/providers/{provider}/events/"
        expected = [] if is_open else [{"apiKey": []}, {"bearer": []}]
        assert [entry for entry in operation.get("security", ()) if entry] == expected, (path, method)


def test_the_document_and_its_page_are_served():
    client = APIClient()
    assert client.get("/api/schema/?format=json").json()["info"]["title"] == "Notifier API"

    page = client.get("/api/docs/")

    assert page.status_code == 200
    text = page.content.decode()
    sources = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert [source for source in sources if source.endswith((".js", ".css"))]
    # The page's own script has an address of its own.
    assert all(source.startswith(("/static/", "/api/docs/?script=")) for source in sources), sources
    assert not re.findall(r"https?://(?!localhost|testserver)\S+", text)
    for source in sources:
        answer = client.get(source)
        assert answer.status_code == 200, source
        assert answer.getvalue()
