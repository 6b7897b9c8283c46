"""Style sheets are written into the elements when a version is made; nothing else of a source changes."""

import re
import resource
import socketserver
import threading
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.templates.html.inlining import inlined
from apps.templates.liquid.errors import TemplateSyntaxError
from apps.templates.models import TemplateContent
from tests.support.factories import EMAIL_EN
from tests.support.routes import refused

URL = "/api/v1/templates/"


def made(api, html):
    code = f"t{TemplateContent.objects.count()}"
    answer = api.post(URL, {"code": code, "name": "x", "contents": [{**EMAIL_EN, "html": html}]})
    assert answer.status_code == 201, answer.content
    content = TemplateContent.objects.get(version__template__code=code)
    assert content.html == html
    return content.compiled.get("html", html)


@pytest.fixture(autouse=True)
def _somebody(request):
    if "api" in request.fixturenames:
        request.getfixturevalue("organization")


def test_styles_are_in_the_elements_of_what_is_sent(api):
    html = "<style>p { color: red } .big { font-size: 2em }</style><p class='big' title='x'>{{ name }}</p>"
    body = {"contents": [{**EMAIL_EN, "html": html}], "variables": {"name": "<Ada>"}}
    styled = api.post(f"{URL}substitute/", body).json()["data"]["contents"]["email"]["html"]
    assert styled.endswith("<p style=\"color: red;font-size: 2em;\" class='big' title='x'>&lt;Ada&gt;</p>")


def test_media_queries_and_what_cannot_be_inlined_stay(api):
    sheet = "<style>a{color:red} a:hover{color:blue} @media (max-width:480px){a{display:block}}</style>"
    assert made(api, f"{sheet}<a>x</a>") == f'{sheet}<a style="color: red;">x</a>'


def test_what_an_element_says_itself_wins_and_importance_wins_over_that(api):
    sheet = "<style>p{color:red;margin:0 !important}</style>"
    assert made(api, f"{sheet}<p style='color:blue; margin:9px'>") == (
        f"{sheet}<p style='color: red; color:blue; margin:9px; margin: 0;'>"
    )


@pytest.mark.parametrize(
    ("value", "inlined"),
    [
        ('"Open Sans", x', "'Open Sans', x"),
        ('"O\'Neil"', "'O\\27 Neil'"),
        ("'a\"b\\\\'", "'a\\22 b\\\\'"),
        ('"a\\"b"', "'a\\22 b'"),
        ("/* don't */ x", "x"),
        ("url(a?b&copy=c)", "url(a?b&amp;copy=c)"),
    ],
)
def test_quotes_in_a_value_stay_what_they_mean(value, inlined, api):
    sheet = f"<style>p{{a:{value}}}</style>"
    assert made(api, f"{sheet}<p>") == f'{sheet}<p style="a: {inlined};">'
    escaped = inlined.replace("'", "&#39;")
    assert made(api, f"{sheet}<p style='b:c'>") == f"{sheet}<p style='a: {escaped}; b:c'>"


@pytest.mark.parametrize(
    ("element", "styled"),
    [
        ("<td>x</td>", '<td style="a: b;">x</td>'),
        ("<TD>x</TD>", '<TD style="a: b;">x</TD>'),
        ("<td style=''>", "<td style='a: b;'>"),
        ("<td style>", '<td style="a: b;">'),
        ("<td style=c:d>", '<td style="a: b; c:d">'),
        ("<td style=\"c:{{ x | append: '\"' }}\">", "<td style=\"a: b; c:{{ x | append: '\"' }}\">"),
        # Liquid decides what it is: that is known when it is sent.
        ('<td class="{{ x }}">', '<td class="{{ x }}">'),
        ("<td {% if x %}class='y'{% endif %}>", "<td {% if x %}class='y'{% endif %}>"),
        ("<td id=a{{ x }}>", "<td id=a{{ x }}>"),
        # What only looks like an element.
        ("<!-- <td> --><!--[if mso]><td><![endif]-->", None),
        ("{% if '<td>' %}{% endif %}{{ '<td>' }}", None),
        ("{% raw %}<td>{% endraw %}", None),
        ("<script><td></script><title><td></title><textarea><td></textarea>", None),
        ("a < td > b &lt;td&gt;", None),
    ],
)  # fmt: skip
def test_elements_are_styled_and_nothing_else(element, styled, api):
    sheet = "<style>td{a:b}</style><table><tr>"
    assert made(api, sheet + element) == sheet + (styled or element)


def test_a_sheet_with_liquid_in_it_is_left_to_the_mail_reader(api):
    left = "<style>p{color:{{ colour }}}</style><style media='print'>p{a:b}</style>"
    html = f"{left}<style>b{{c:d}}</style><p><b></b></p>"
    assert made(api, html) == html.replace("<b>", '<b style="c: d;">')


def test_the_layouts_sheet_styles_the_content_and_the_partials(api):
    layout = {
        "name": "brand",
        "html": "<style>.x{color:{{ layout.colour }}}</style><body>{{ content }}</body>",
        "values": {"colour": "#0a7d43"},
    }
    api.post(f"{URL}layouts/", layout)
    api.post(f"{URL}partials/", {"name": "bye", "html": "<i class=x>Bye</i>"})
    content = {**EMAIL_EN, "html": "<b class=x>Hi</b>{% render 'bye' %}", "layout": "brand"}
    body = {"contents": [content], "variables": {"name": "Ada"}}
    styled = api.post(f"{URL}substitute/", body).json()["data"]["contents"]["email"]["html"]
    assert styled.count('style="color: #0a7d43;"') == 2


class _Ear(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.server.heard.append(self.request.recv(100))  # type: ignore[attr-defined]


@pytest.fixture
def ear() -> Iterator[socketserver.TCPServer]:
    with socketserver.TCPServer(("127.0.0.1", 0), _Ear) as server:
        server.heard = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_nothing_is_loaded(api, ear, tmp_path):
    sheet = tmp_path / "sheet.css"
    sheet.write_text("p{secret:value}")
    web = f"http://127.0.0.1:{ear.server_address[1]}/x.css"
    for address in (web, f"file://{sheet}", str(sheet)):
        for html in (
            f'<link rel="stylesheet" href="{address}"><style>b{{c:d}}</style><p>x</p>',
            f'<base href="{address}"><link rel=stylesheet href=x.css><style>b{{c:d}}</style><p>x</p>',
            f'<style>@import url("{address}"); @import "{address}"; b{{c:d}}</style><p>x</p>',
            f'<style>b{{background:url("{address}")}}</style><p>x</p>',
        ):
            assert made(api, html) == html
    assert ear.heard == []


BOMBS = {
    "rules on elements": "<style>" + "*{c:d}" * 5_000 + "</style>" + "<i>" * 11_000,
    "a long rule on elements": "<style>i{c:" + "d" * 30_000 + "}</style>" + "<i>" * 11_000,
    "deep elements": "<style>b b b b b b b b i{c:d}</style>" + "<b>" * 20_000,
    "deep divs": "<style>div div div i{c:d}</style>" + "<div>" * 12_000,
    "long selectors": "<style>" + "b " * 20_000 + "i{c:d}</style>" + "<b>" * 8_000,
    "nots": "<style>" + ":not(" * 10_000 + "</style><b>",
    "has": "<style>" + "*:has(i) " * 3_000 + "{c:d}</style>" + "<b>" * 8_000,
    "nth": "<style>" + "i:nth-last-child(7n+3 of .a){c:d}" * 1_000 + "</style>" + "<i></i>" * 4_000,
    "nested rules": "<style>" + "a{" * 30_000 + "</style><a>",
    "nested media": "<style>" + "@media x{" * 7_000 + "</style><a>",
    "brackets": "<style>a{c:" + "(" * 60_000 + "}</style><a>",
    "open comment": "<style>a{c:d}</style>" + "<!-" * 20_000,
    "open quotes": "<style>a{c:d}</style>" + "<a b='<a b=\"" * 5_000,
    "attributes": "<style>a{c:d}</style><a " + "b " * 30_000 + ">",
    "styles": "<style>" * 9_000,
    "style elements": "<style>a{b:c}</style>" * 3_000 + "<a>",
    "tables": "<style>td{b:c}</style>" + "<table><tr><td>" * 4_000,
    "formatting": "<style>td{b:c}</style>" + "<b><p>" * 10_000,
}


def test_what_is_too_long_stays_with_the_compiler(api):
    # It makes twenty megabytes of this, quickly, which the API would hold several times over.
    html = "<style>p{--a:" + "b" * 20_000 + "}</style>" + "<p>" * 1_000
    tracemalloc.start()
    try:
        answer = api.post(URL, {"code": "x", "name": "x", "contents": [{**EMAIL_EN, "html": html}]})
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "longer than 256 KiB" in refused(answer, 400)["errors"][0]["detail"]
    assert most < 8 * 1024 * 1024


@pytest.mark.parametrize("name", BOMBS)
def test_a_style_bomb_is_stopped_soon(name, api):
    began, mine = time.monotonic(), time.thread_time()
    answer = api.post(URL, {"code": "x", "name": "x", "contents": [{**EMAIL_EN, "html": BOMBS[name]}]})
    if answer.status_code != 201:
        (entry,) = refused(answer, 400, "validation_error")["errors"]
        assert entry["field"] == "contents[0].html"
        assert "longer than 256 KiB" in entry["detail"] or "too much time or memory" in entry["detail"]
    else:
        assert len(TemplateContent.objects.get().compiled.get("html", "")) <= 256 * 1024
    # The compiler's own limit is 3 s of its time; the API's process has next to nothing to do.
    assert time.thread_time() - mine < 3
    assert time.monotonic() - began < 20


def test_the_compiler_is_bounded_in_time_and_memory(api):
    for name in ("rules on elements", "a long rule on elements"):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        answer = api.post(URL, {"code": "x", "name": "x", "contents": [{**EMAIL_EN, "html": BOMBS[name]}]})
        refused(answer, 400, "validation_error")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 4.5, name
        # Of the largest child there was, in KiB.
        assert after.ru_maxrss < 560 * 1024, name


def test_partials_do_not_multiply_without_bound(api):
    began = time.thread_time()
    sources = ["x" * 60_000, "{% render 'p0' %}" * 1_900, "{% render 'p1' %}" * 1_900]
    answers = [
        api.post(f"{URL}partials/", {"name": f"p{number}", "text": source})
        for number, source in enumerate(sources)
    ]
    assert [answer.status_code for answer in answers] == [201, 400, 400]
    assert "longer than 256 KiB" in refused(answers[1], 400)["errors"][0]["detail"]
    api.post(f"{URL}partials/", {"name": "q0", "text": "x"})
    api.post(f"{URL}partials/", {"name": "q1", "text": "{% render 'q0' %}" * 1_900})
    answer = api.post(f"{URL}partials/", {"name": "q2", "text": "{% render 'q1' %}" * 1_900})
    assert "more than 2000 partials" in refused(answer, 400)["errors"][0]["detail"]
    assert time.thread_time() - began < 10


LIQUID = st.sampled_from(
    ["{{ a }}", "{{- a | append: '<b \"x>' -}}", "{% if a < b %}", "{% endif %}", "{% raw %}<p>{{{% endraw %}",
     "{% for x in y %}", "{% endfor %}", "{% assign a = '</style>' %}", "{{ \"'\" }}"]
)  # fmt: skip
MARKUP = st.sampled_from(
    ["<p>", "</p>", "<td class=c>", "</td>", "<table>", "<tr>", "</table>", "<b class='c d'>", "</b>", "<br/>",
     "<p style='x:y'>", '<p style="x:y">', "<a href=", "<a href='", "'>", '">', ">", "<", "&nbsp;", "<!--", "-->",
     "<style>", "</style>", "p{q:r}", ".c{s:t}", "é \U0001f48c", "\r\n", "<title>", "</title>", "<html>", "<body>",
     "<!doctype html>", "<style media=print>", "\ue000", "<p\x0bclass=c>", "<P CLASS=C STYLE=X>"]
)  # fmt: skip
ADDED = re.compile(r"(?: style=\"(?:q: r;|s: t;)+\"|(?:q: r;|s: t;)+ ?)")


@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(LIQUID, MARKUP), max_size=25).map("".join))
def test_taking_the_styles_out_again_gives_the_source(source):
    source = f"<style>p{{q:r}} .c{{s:t}}</style>{source}"
    try:
        found = inlined(source)
    except TemplateSyntaxError:
        # Liquid that is left open is refused before.
        return
    head = len("<style>p{q:r} .c{s:t}</style>")
    assert found[:head] == source[:head]
    # Whatever was added is styles and quotes: without them, both read the same.
    for odd in (ADDED, re.compile(r"(?i)style=|[\"';=]|\s")):
        found, source = odd.sub("", found), odd.sub("", source)
    assert found == source
