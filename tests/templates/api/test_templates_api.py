"""Templates: written, read, rolled back, previewed, archived."""

import pytest

from apps.templates.models import Template, TemplateContent, TemplateVersion
from tests.conftest import post
from tests.support.factories import EMAIL_EN, PUSH_EN
from tests.support.routes import refused

URL = "/api/v1/templates/"
FIELDS = [
    "id", "code", "name", "description", "category", "on_unknown", "active_version", "fallback_version",
    "warnings", "created_at", "updated_at",
]  # fmt: skip


def write(api, *contents, code="hello"):
    answer = api.post(URL, {"code": code, "name": "Hello", "contents": contents or [EMAIL_EN, PUSH_EN]})
    assert answer.status_code == 201, answer.content
    return answer.json()["data"]


def add(api, *contents, code="hello", **fields):
    answer = api.post(f"{URL}{code}/versions/", {"contents": contents or [EMAIL_EN], **fields})
    assert answer.status_code == 201, answer.content
    return answer.json()["data"]


def active(api, code="hello"):
    return api.get(f"{URL}{code}/").json()["data"]["active_version"]


def subject(api, **body):
    answer = api.post(f"{URL}hello/preview/", {"variables": {"name": "Ada"}, **body})
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]["contents"]["email"]["subject"]


def test_a_template_is_written_with_its_first_version(api, organization):
    shown = write(api)

    assert list(shown) == FIELDS
    assert (shown["code"], shown["active_version"], shown["on_unknown"]) == ("hello", 1, "hold")
    assert api.get(f"{URL}hello/").json()["data"] == shown
    (version,) = api.get(f"{URL}hello/versions/").json()["data"]
    assert (version["number"], version["active"], version["required"]) == (1, True, ["name"])
    assert version["contents"] == [
        {**EMAIL_EN, "source_format": "html", "layout": ""},
        {**PUSH_EN, "image": "", "link": "", "data": {}},
    ]
    assert TemplateVersion.objects.get().created_by is None


def test_a_template_without_contents_waits_for_a_version(api, user):
    answer = api.post(URL, {"code": "hello", "name": "Hello"})
    assert (answer.status_code, answer.json()["data"]["active_version"]) == (201, None)
    refused(api.post(f"{URL}hello/preview/", {}), 400, "validation_error")
    (entry,) = refused(post(api, user), 400)["errors"]
    assert (entry["field"], entry["code"]) == ("template_code", "no_active_version")

    assert add(api)["active"] is False
    assert active(api) is None
    assert add(api, activate=True)["number"] == 2
    assert active(api) == 2


def test_a_template_changes_but_not_its_code_nor_its_versions(api, version):
    answer = api.patch(f"{URL}hello/", {"name": "Hi", "description": "Said\nfirst.", "on_unknown": "resend"})
    shown = answer.json()["data"]
    assert (shown["name"], shown["description"], shown["on_unknown"]) == ("Hi", "Said\nfirst.", "resend")
    assert api.patch(f"{URL}hello/", {"code": "hello"}).status_code == 200

    (entry,) = refused(api.patch(f"{URL}hello/", {"code": "hi"}), 400)["errors"]
    assert (entry["field"], entry["code"]) == ("code", "immutable")
    (entry,) = refused(api.patch(f"{URL}hello/", {"contents": [EMAIL_EN]}), 400)["errors"]
    assert entry["field"] == "contents"
    for method in ("put", "patch", "delete"):
        refused(getattr(api, method)(f"{URL}hello/versions/", {}), 405)
    for row in (version, version.contents.first()):
        with pytest.raises(TypeError):
            row.save()


def test_versions_are_numbered_and_come_newest_first(api, version):
    assert [add(api, note=f"Number {number}")["number"] for number in (2, 3)] == [2, 3]

    shown = api.get(f"{URL}hello/versions/").json()["data"]

    assert [(row["number"], row["note"], row["active"]) for row in shown] == [
        (3, "Number 3", False),
        (2, "Number 2", False),
        (1, "", True),
    ]


def test_activating_an_older_version_rolls_back(api, user, version):
    add(api, {**EMAIL_EN, "subject": "Second"}, activate=True)
    assert (active(api), subject(api)) == (2, "Second")
    before = post(api, user, channels=["email"]).json()["data"]

    answer = api.post(f"{URL}hello/activate/", {"version": 1})

    assert (answer.status_code, answer.json()["data"]["active_version"]) == (200, 1)
    assert (active(api), subject(api)) == (1, "Hello Ada")
    assert TemplateVersion.objects.count() == 2
    # Who was promised the second version gets it.
    after = post(api, user).json()["data"]
    assert (before["template"]["version"], after["template"]["version"]) == (2, 1)
    shown = api.get(f"/api/v1/notifications/{before['id']}/").json()["data"]
    assert shown["template"] == {"code": "hello", "version": 2}


def test_a_version_of_another_template_is_none_here(api, version):
    write(api, code="bye")
    add(api, code="bye")
    for action in ("activate", "preview"):
        (entry,) = refused(api.post(f"{URL}hello/{action}/", {"version": 2}), 400)["errors"]
        assert entry["field"] == "version"
    assert active(api) == 1


def test_an_archived_template_is_gone_and_its_code_free(api, user, version):
    sent = post(api, user).json()["data"]["id"]
    assert api.delete(f"{URL}hello/").status_code == 204

    refused(api.get(f"{URL}hello/"), 404)
    refused(api.delete(f"{URL}hello/"), 404)
    for path, body in {
        "versions": {"contents": [EMAIL_EN]},
        "activate": {"version": 1},
        "preview": {},
    }.items():
        refused(api.post(f"{URL}hello/{path}/", body), 404)
    assert api.get(URL).json()["data"] == []
    (entry,) = refused(post(api, user), 400)["errors"]
    assert (entry["field"], entry["code"]) == ("template_code", "not_found")
    shown = api.get(f"/api/v1/notifications/{sent}/").json()["data"]
    assert shown["template"] == {"code": "hello", "version": 1}

    write(api, {**EMAIL_EN, "subject": "Anew"})
    assert (active(api), subject(api)) == (1, "Anew")
    assert Template.objects.count() == 2


@pytest.mark.parametrize(
    ("part", "source", "where"),
    [
        ("html", "<p>\n{% if name %}", "line 2"),
        ("html", "<p>\n  {{ name | }}</p>", "line 2, column"),
        ("text", "Hi {% nonsense %}", "line 1, column"),
        ("subject", "{{ name", "line 1, column"),
        ("subject", "{% include 'x' %}", "line 1, column"),
    ],
)
@pytest.mark.parametrize("url", [URL, f"{URL}hello/versions/"])
def test_a_syntax_error_is_shown_where_it_is(url, part, source, where, api, version):
    body = {"code": "bye", "name": "Bye"} if url == URL else {}

    answer = api.post(url, {**body, "contents": [{**EMAIL_EN, part: source}]})

    (entry,) = refused(answer, 400, "validation_error")["errors"]
    assert entry["field"] == f"contents[0].{part}"
    assert where in entry["detail"], entry
    assert "column" in entry["detail"]
    assert (Template.objects.count(), TemplateVersion.objects.count()) == (1, 1)
    assert TemplateContent.objects.count() == 2


def test_two_contents_in_one_language_are_one_too_many(api, version):
    contents = [{**EMAIL_EN, "language": "fr-CA"}, PUSH_EN, {**EMAIL_EN, "language": "fr-ca"}]
    (entry,) = refused(api.post(f"{URL}hello/versions/", {"contents": contents}), 400)["errors"]
    assert entry["field"] == "contents[2]"
    assert TemplateVersion.objects.count() == 1


def test_sources_are_stored_unchanged(api, organization):
    content = {**EMAIL_EN, "html": "  <p>é 💌\r\n\t{{ name }}</p>\n\n", "text": "\n x \n"}
    write(api, content)
    assert api.get(f"{URL}hello/versions/").json()["data"][0]["contents"] == [
        {**content, "source_format": "html", "layout": ""}
    ]
