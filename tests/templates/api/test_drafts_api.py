"""A draft is written, shown, thrown away and published; two writers never overwrite each other."""

import pytest
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from apps.templates.models import TemplateDraft, TemplateVersion
from tests.support.factories import EMAIL_EN, PUSH_EN, UserFactory
from tests.support.routes import refused, stored

URL = "/api/v1/templates/hello/draft/"
NAME = {"name": "name", "type": "string", "example": "Grace"}
pytestmark = pytest.mark.usefixtures("version")


def write(api, *contents, **fields):
    answer = api.put(URL, {"contents": contents or [EMAIL_EN], **fields})
    assert answer.status_code == (200 if "base" in fields else 201), answer.content
    return answer.json()["data"]


def errors(answer):
    return [entry["field"] for entry in refused(answer, 400, "validation_error")["errors"]]


def test_a_draft_is_written_read_and_written_again(api):
    refused(api.get(URL), 404, "not_found")

    first = write(api, EMAIL_EN, variables=[NAME], note="Kinder")

    assert first == api.get(URL).json()["data"]
    assert (first["contents"], first["variables"], first["note"]) == (
        [{**EMAIL_EN, "source_format": "html", "layout": ""}],
        [NAME],
        "Kinder",
    )
    assert (first["updated_by"], first["warnings"]) == (None, [])
    second = write(api, PUSH_EN, base=first["updated_at"])
    assert second["contents"] == [{**PUSH_EN, "image": "", "link": "", "data": {}}]
    assert (second["variables"], second["note"]) == ([], "")
    assert second["updated_at"] > first["updated_at"]
    assert TemplateVersion.objects.count() == 1


def test_a_person_who_wrote_it_is_named(organization):
    editor = UserFactory(organization=organization, role="editor")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(editor)}")

    assert write(client)["updated_by"] == str(editor.pk)


def test_who_writes_over_a_state_they_have_not_read_is_stopped(api):
    base = write(api)["updated_at"]
    theirs = write(api, PUSH_EN, base=base)
    before = stored()

    for body in ({"base": base}, {}, {"base": "2020-01-01T00:00:00Z"}):
        refused(api.put(URL, {"contents": [EMAIL_EN], **body}), 409, "stale_draft")
        if body:
            refused(api.post(f"{URL}publish/", body), 409, "stale_draft")
    assert stored() == before

    # Gone meanwhile: not made again in silence.
    assert api.delete(URL).status_code == 204
    refused(api.put(URL, {"contents": [EMAIL_EN], "base": theirs["updated_at"]}), 409, "stale_draft")
    refused(api.delete(URL), 404)
    refused(api.get(URL), 404)
    refused(api.post(f"{URL}publish/", {}), 404)


def test_a_draft_may_be_incomplete_and_no_version_may(api):
    half = {"channel": "email", "language": "fr", "html": "<p>{{ name }}</p>"}
    base = write(api, {"channel": "push", "language": "fr"}, half)["updated_at"]

    assert errors(api.post(f"{URL}publish/", {})) == ["contents[0].title"]

    assert (TemplateDraft.objects.count(), TemplateVersion.objects.count()) == (1, 1)
    assert api.put(URL, {"contents": [], "base": base}).status_code == 200
    assert errors(api.post(f"{URL}publish/", {})) == ["contents"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"contents": [{**EMAIL_EN, "html": "<p>\n{% if name %}"}]}, "contents[0].html"),
        ({"contents": [EMAIL_EN, {**EMAIL_EN, "language": "EN"}]}, "contents[1]"),
        ({"contents": [{**EMAIL_EN, "title": "x"}]}, "contents[0].title"),
        ({"contents": [EMAIL_EN], "variables": [NAME, NAME]}, "variables[1].name"),
        ({"note": "No contents"}, "contents"),
        ({"contents": [EMAIL_EN], "base": "yesterday"}, "base"),
    ],
)
def test_a_draft_is_checked(body, field, api):
    before = stored()
    assert errors(api.put(URL, body)) == [field]
    assert stored() == before


def test_publishing_makes_the_next_version_and_ends_the_draft(api):
    draft = write(api, {**EMAIL_EN, "subject": "Dear {{ name }}"}, variables=[NAME], note="Kinder")

    answer = api.post(f"{URL}publish/", {"base": draft["updated_at"]})

    assert answer.status_code == 201
    made = answer.json()["data"]
    assert (made["number"], made["active"], made["note"], made["variables"]) == (2, False, "Kinder", [NAME])
    assert made["contents"] == draft["contents"]
    refused(api.get(URL), 404)
    assert api.get("/api/v1/templates/hello/").json()["data"]["active_version"] == 1
    write(api)
    assert api.post(f"{URL}publish/", {"activate": True}).json()["data"]["active"] is True
    assert api.get("/api/v1/templates/hello/").json()["data"]["active_version"] == 3


def test_a_draft_is_previewed_and_never_sent(api):
    write(api, {**EMAIL_EN, "subject": "Dear {{ name }}"}, {**PUSH_EN, "title": ""}, variables=[NAME])
    preview = "/api/v1/templates/hello/preview/"

    shown = api.post(preview, {"draft": True}).json()["data"]

    assert shown["version"] is None
    assert shown["contents"]["email"]["subject"] == "Dear Grace"
    assert shown["contents"]["push"]["title"] == ""
    previewed = api.post(preview, {"draft": False, "variables": {"name": "Ada"}}).json()["data"]
    assert (previewed["version"], previewed["contents"]["email"]["subject"]) == (1, "Hello Ada")
    assert errors(api.post(preview, {"draft": True, "version": 1})) == ["draft"]
    api.delete(URL)
    assert errors(api.post(preview, {"draft": True})) == ["draft"]


def test_unused_variables_are_reported(api):
    other = {"name": "nickname", "type": "string"}
    draft = write(api, EMAIL_EN, variables=[NAME, other])
    assert draft["warnings"] == ["nickname is declared, but no content uses it."]
    assert api.get(URL).json()["data"]["warnings"] == draft["warnings"]
