"""One version, and what changed between two."""

import time

import pytest

from tests.support.factories import EMAIL_EN, PUSH_EN, template_with
from tests.support.routes import refused

URL = "/api/v1/templates/hello/"


def add(api, *contents):
    answer = api.post(f"{URL}versions/", {"contents": contents})
    assert answer.status_code == 201, answer.content


def changed(api, query=""):
    answer = api.get(f"{URL}diff/{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


def test_a_version_is_shown_by_its_number(api, version):
    add(api, PUSH_EN)
    listed = api.get(f"{URL}versions/").json()["data"]

    assert [api.get(f"{URL}versions/{number}/").json()["data"] for number in (2, 1)] == listed
    for number in ("3", "0", "-1", "01", "x", "9" * 9, "9" * 30):
        refused(api.get(f"{URL}versions/{number}/"), 404, "not_found")
    for method in ("put", "patch", "delete"):
        refused(getattr(api, method)(f"{URL}versions/1/", {}), 405)


def test_a_diff_names_each_part_that_changed(api, organization):
    template_with(organization, {**EMAIL_EN, "text": "One\nTwo\nThree"}, PUSH_EN)
    french = {**EMAIL_EN, "language": "fr", "subject": "Bonjour {{ name }}", "html": ""}
    add(api, {**EMAIL_EN, "text": "One\n2\nThree"}, french)

    shown = changed(api, "?from=1&to=2")

    assert (shown["from"], shown["to"]) == (1, 2)
    assert [(row["channel"], row["language"], row["part"], row["change"]) for row in shown["changes"]] == [
        ("email", "en", "text", "changed"),
        ("email", "fr", "subject", "added"),
        ("email", "fr", "text", "added"),
        ("push", "en", "body", "removed"),
        ("push", "en", "title", "removed"),
    ]
    assert shown["changes"][0]["diff"].split("\n") == [
        "--- before", "+++ after", "@@ -1,3 +1,3 @@", " One", "-Two", "+2", " Three",
    ]  # fmt: skip
    assert shown["changes"][1]["diff"].endswith("@@ -0,0 +1 @@\n+Bonjour {{ name }}")
    back = changed(api, "?from=2&to=1")["changes"]
    assert [row["change"] for row in back] == ["changed", "removed", "removed", "added", "added"]


def test_a_diff_begins_with_the_version_before(api, version):
    first = changed(api)
    assert (first["from"], first["to"]) == (None, 1)
    assert {row["change"] for row in first["changes"]} == {"added"}
    add(api, EMAIL_EN, PUSH_EN)
    assert changed(api) == {"from": 1, "to": 2, "changes": []}
    assert changed(api, "?to=1") == first


def test_a_change_of_line_ends_is_a_change(api, organization):
    template_with(organization, {**EMAIL_EN, "text": "a\nb"})
    add(api, {**EMAIL_EN, "text": "a\r\nb\n"})
    (row,) = changed(api)["changes"]
    assert "-a\\n" in row["diff"].split("\n")
    assert "+a\\r\\n" in row["diff"].split("\n")


@pytest.mark.parametrize(
    ("query", "field"),
    [("?from=1&to=3", "to"), ("?from=0&to=1", "from"), ("?from=x&to=1", "from"), ("?from=9&to=1", "from"),
     ("?from=1&to=" + "9" * 40, "to"), ("?form=1", "form")],
)  # fmt: skip
def test_a_diff_of_nothing_is_refused(query, field, api, version):
    (entry,) = refused(api.get(f"{URL}diff/{query}"), 400, "validation_error")["errors"]
    assert entry["field"] == field


def test_a_diff_without_versions_is_refused(api):
    api.post("/api/v1/templates/", {"code": "hello", "name": "Hello"})
    (entry,) = refused(api.get(f"{URL}diff/"), 400)["errors"]
    assert entry["field"] == "to"


def test_a_diff_of_hostile_texts_ends_soon(api, organization):
    def lines(step, count):
        return "\n".join(f"{n * step % 97}" for n in range(count))

    tags = ("en", "fr", "de", "it", "es")
    template_with(organization, *({**EMAIL_EN, "language": tag, "text": lines(7, 1400)} for tag in tags))
    add(api, *({**EMAIL_EN, "language": tag, "text": lines(11, 1400)} for tag in tags))
    add(api, {**EMAIL_EN, "text": lines(5, 20_000)})
    began = time.thread_time()

    assert len(changed(api, "?from=1&to=2")["changes"]) == 5
    whole = changed(api, "?from=2&to=3")["changes"][-1]

    assert time.thread_time() - began < 5
    assert whole["change"] in ("changed", "removed")
