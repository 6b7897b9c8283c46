"""Hostile templates through the API: a fast response, with the error's position and reason."""

import time
from itertools import pairwise

import pytest

from tests.conftest import post
from tests.support.factories import EMAIL_EN
from tests.support.routes import refused, stored
from tests.templates.rendering.test_hostile_templates import HOSTILE

URL = "/api/v1/templates/"
SOON = 3.0
"""Seconds of this thread's own time, for all that one request does."""
AT_RENDERING = [
    "{% for a in (1..1000) %}{% for b in (1..1000) %}{{ a }}{% endfor %}{% endfor %}",
    "{% for a in (1..9999) %}{{ name }}{{ name }}{% endfor %}",
    "{% assign x = name %}{% for a in (1..99) %}{% assign x = x | append: x %}{% endfor %}{{ x }}",
    "{{ (1..999999999) | join }}",
    "{{ 1 | divided_by: name }}",
]
WALKS = [
    "name.__class__.__mro__", "name['__class__']", "name.upper", "name.__init__.__globals__", "forloop",
    "self", "request", "settings.SECRET_KEY", "name[0].__class__",
]  # fmt: skip


def written(api, source, part="text"):
    return api.post(URL, {"code": "hello", "name": "Hello", "contents": [{**EMAIL_EN, part: source}]})


@pytest.fixture(autouse=True)
def _ends_soon(request):
    began = time.thread_time()
    yield
    assert time.thread_time() - began < SOON, request.node.name


@pytest.mark.parametrize("name", [name for name, source in HOSTILE.items() if len(source) <= 65536])
def test_hostile_sources_are_refused_or_end_soon(name, api, organization):
    answer = written(api, HOSTILE[name])
    if answer.status_code == 201:
        variables = {"s": "a" * 20_000, "n": [["a"] * 2_000], "big": ["a"] * 2_000, "name": "Ada"}
        answer = api.post(f"{URL}hello/preview/", {"variables": variables})
        assert answer.status_code in (200, 400), answer.content
    if answer.status_code >= 400:
        (entry,) = refused(answer, 400, "validation_error")["errors"]
        assert entry["field"] in ("contents[0].text", "email.text")
        assert len(entry["detail"]) < 400


@pytest.mark.parametrize("source", AT_RENDERING)
def test_what_costs_too_much_is_refused_wherever_it_is_rendered(source, api, user, organization):
    assert written(api, source).status_code == 201
    variables = {"name": "Ada" * 50}
    before = stored()
    for answer in (
        api.post(f"{URL}hello/preview/", {"variables": variables}),
        api.post(f"{URL}substitute/", {"template_code": "hello", "variables": variables}),
        post(api, user, variables=variables),
    ):
        refused(answer, 400, "validation_error")
    assert stored() == before


@pytest.mark.parametrize("path", WALKS)
def test_nothing_is_reached_through_an_attribute(path, api, organization):
    assert written(api, f"[{{{{ {path} }}}}]").status_code == 201
    answer = api.post(f"{URL}hello/preview/", {"variables": {"name": "Ada"}})
    (entry,) = refused(answer, 400, "validation_error")["errors"]
    assert entry["field"] == "email.text"
    assert "missing" in entry["detail"]


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ("{% if %}", 1, 1),
        ("a\n  {{ name | }}", 2, 3),
        ("a\n\n{% nonsense %}", 3, 1),
        ("{% for x in %}", 1, 1),
    ],
)
@pytest.mark.parametrize("part", ["subject", "html", "text"])
def test_a_syntax_error_has_a_line_and_a_column(part, source, line, column, api, organization):
    (entry,) = refused(written(api, source, part), 400)["errors"]
    assert entry["field"] == f"contents[0].{part}"
    tokens = entry["detail"].replace(",", "").replace(":", "").split()
    place = {name: int(number) for name, number in pairwise(tokens) if name in ("line", "column")}
    assert place["line"] == line
    assert place["column"] >= column


@pytest.mark.parametrize("path", ["", "hello/versions/", "hello/draft/", "substitute/"])
def test_a_mib_of_source_is_refused_unread(path, api, version):
    contents = [{**EMAIL_EN, "html": "x" * 2**20}]
    body = {"": {"code": "big", "name": "Big"}}.get(path, {})
    before = stored()
    send = api.put if path.endswith("draft/") else api.post
    refused(send(URL + path, {**body, "contents": contents}), 413, "payload_too_large")
    assert stored() == before


def test_64_kib_is_the_most_that_a_part_holds(api, organization):
    (entry,) = refused(written(api, "x" * 65537), 400)["errors"]
    assert (entry["field"], entry["code"]) == ("contents[0].text", "max_length")
    (entry,) = refused(written(api, "é" * 40_000), 400)["errors"]
    assert "64 KiB" in entry["detail"]
    assert written(api, "x" * 65536).status_code == 201
