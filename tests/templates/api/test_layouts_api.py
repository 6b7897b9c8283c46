"""Layouts and partials: an organization's own, put into a version when it is made, and never after that."""

import email
import email.policy

import pytest

from apps.templates.authoring import versions
from apps.templates.models import Layout, Partial, TemplateContent
from tests.conftest import client_for, post, settled
from tests.support.factories import EMAIL_EN, PUSH_EN, OrganizationFactory
from tests.support.routes import refused, stored
from tests.support.smtp_server import ScriptedSmtpServer

URL = "/api/v1/templates/"
BRAND = {
    "name": "brand",
    "html": '<body bgcolor="{{ layout.colour }}"><h1>Acme &amp; Co</h1>{{ content }}<i>{{ name }}</i></body>',
    "text": "ACME\n\n{{ content }}\n\n{{ layout.address }}",
    "values": {"colour": "#0a7d43", "address": "1 O'Neil Street"},
}
HELLO = {**EMAIL_EN, "layout": "brand"}


@pytest.fixture
def brand(api, organization):
    answer = api.post(f"{URL}layouts/", BRAND)
    assert answer.status_code == 201, answer.content
    return answer.json()["data"]


def partial(api, name, **sources):
    answer = api.post(f"{URL}partials/", {"name": name, **sources})
    assert answer.status_code == 201, answer.content


def template(api, *contents, code="hello"):
    answer = api.post(URL, {"code": code, "name": "Hello", "contents": contents})
    assert answer.status_code == 201, answer.content
    return answer.json()["data"]


def shown(api, *contents, **variables):
    body = {"contents": contents, "variables": {"name": "Ada", **variables}, "language": "en"}
    answer = api.post(f"{URL}substitute/", body)
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]["contents"]


def error(answer, field):
    (entry,) = refused(answer, 400, "validation_error")["errors"]
    assert entry["field"] == field, entry
    return entry["detail"]


def test_a_few_names_of_partials_make_no_version_of_megabytes(api, organization):
    partial(api, "long", text="x" * 60_000)
    text = '{% render "long" %}' * 4
    contents = [
        {"channel": "email", "language": f"en-A{number}", "subject": "x", "text": text}
        for number in range(10, 40)
    ]
    answer = api.post(URL, {"code": "hello", "name": "Hello", "contents": contents})
    assert "4 MiB" in error(answer, "contents")
    assert not TemplateContent.objects.exists()
    template(api, *contents[:17])


def test_nor_does_compiling(api, organization, monkeypatch):
    monkeypatch.setattr(versions, "WHOLE_LIMIT", 2_000)
    styled = "<style>p { color: #123456 }</style>" + "<p>x</p>" * 100
    contents = [
        {**EMAIL_EN, "language": one, "subject": "x", "html": styled, "text": ""} for one in ("en", "fr")
    ]
    assert "MiB" in error(api.post(URL, {"code": "hello", "name": "Hello", "contents": contents}), "contents")


class TestParts:
    def test_a_layout_is_added_read_changed_and_deleted(self, api, brand):
        assert {name: brand[name] for name in BRAND} == BRAND
        assert (brand["revision"], brand["source_format"], brand["description"]) == (1, "html", "")
        assert api.get(f"{URL}layouts/brand/").json()["data"] == brand
        assert api.get(f"{URL}layouts/").json()["data"] == [brand]
        changed = api.patch(f"{URL}layouts/brand/", {"text": "{{ content }}"}).json()["data"]
        assert (changed["text"], changed["html"], changed["revision"]) == ("{{ content }}", BRAND["html"], 2)
        # The description is in no message.
        edited = api.patch(f"{URL}layouts/brand/", {"description": "Ours"}).json()["data"]
        assert (edited["description"], edited["revision"]) == ("Ours", 2)
        assert (
            api.patch(f"{URL}layouts/brand/", {"values": {**BRAND["values"], "x": "y"}}).json()["data"][
                "revision"
            ]
            == 3
        )
        assert api.delete(f"{URL}layouts/brand/").status_code == 204
        refused(api.get(f"{URL}layouts/brand/"), 404)

    def test_a_partial_is_added_read_changed_and_deleted(self, api, organization):
        partial(api, "bye", text="Bye {{ name }}")
        shown = api.get(f"{URL}partials/bye/").json()["data"]
        assert api.get(f"{URL}partials/").json()["data"] == [shown]
        assert api.patch(f"{URL}partials/bye/", {"html": "<b>Bye</b>"}).json()["data"]["revision"] == 2
        assert api.delete(f"{URL}partials/bye/").status_code == 204
        assert not Partial.objects.exists()

    @pytest.mark.parametrize("kind", ["layouts", "partials"])
    def test_each_organization_has_its_own(self, kind, api, organization):
        sources = {"html": "{{ content }}"}
        assert api.post(f"{URL}{kind}/", {"name": "brand", **sources}).status_code == 201
        other = client_for(OrganizationFactory(slug="other"))
        assert other.get(f"{URL}{kind}/").json()["data"] == []
        for path in ("brand/", "brand/uses/"):
            refused(other.get(f"{URL}{kind}/{path}"), 404)
        assert error(api.post(f"{URL}{kind}/", {"name": "brand", **sources}), "name")
        assert error(api.patch(f"{URL}{kind}/brand/", {"name": "grand"}), "name")
        assert other.post(f"{URL}{kind}/", {"name": "brand", **sources}).status_code == 201

    def test_another_organizations_are_out_of_reach_of_sources(self, api, organization, brand):
        partial(api, "bye", html="Bye", text="Bye")
        other = client_for(OrganizationFactory(slug="other"))
        for content, field in (
            (HELLO, "contents[0].layout"),
            ({**EMAIL_EN, "text": "{% render 'bye' %}"}, "contents[0].text"),
        ):
            error(other.post(URL, {"code": "x", "name": "x", "contents": [content]}), field)

    @pytest.mark.parametrize(
        ("change", "field", "expected"),
        [
            ({"html": "", "text": ""}, "html", "html, text or both"),
            ({"html": "<p>\n{% if a %}{{ content }}"}, "html", "line 2, column"),
            ({"html": "<p>no place</p>"}, "html", "{{ content }} once"),
            ({"text": "{{ content }}\n {{ content }}"}, "text", "line 2, column 2"),
            ({"text": "\n{% render 'nope' %}{{ content }}"}, "text", 'line 2, column 1: there is no partial'),
            ({"html": "{{ layout.nope }}{{ content }}"}, "html", "no value named nope"),
            ({"html": "{{ layout.colour | upcase }}{{ content }}"}, "html", "must be used alone"),
            ({"html": "x" * 65537}, "html", "65536"),
            ({"source_format": "mjml"}, "html", "begins with <mjml>"),
            ({"source_format": "pug"}, "source_format", ""),
            ({"values": {"colour": "red; background: url(//x)"}}, "values.colour", "colour"),
            ({"values": {"colour": "#12345"}}, "values.colour", "colour"),
            ({"values": {"a-b": "x"}}, "values.a-b", "names"),
            ({"values": {"a": "{{ name }}"}}, "values.a", "braces"),
            ({"values": {"a": "</style>"}}, "values.a", "< and >"),
            ({"values": {"a": 1}}, "values.a", ""),
            ({"values": {"a": "x" * 501}}, "values.a", ""),
            ({"values": {f"a{n}": "" for n in range(51)}}, "values", "at most 50"),
            ({"values": []}, "values", ""),
        ],
    )  # fmt: skip
    def test_a_layout_that_no_content_could_use_is_refused(self, change, field, expected, api, brand):
        before = stored()
        assert expected in error(api.patch(f"{URL}layouts/brand/", change), field)
        assert stored() == before


class TestAVersion:
    def test_has_its_layout_around_it(self, api, brand):
        rendered = shown(api, HELLO)["email"]
        assert rendered["html"] == (
            '<body bgcolor="#0a7d43"><h1>Acme &amp; Co</h1><p>Hello <b>Ada</b></p><i>Ada</i></body>'
        )
        assert rendered["text"] == "ACME\n\nHello Ada\n\n1 O'Neil Street"
        assert rendered["subject"] == "Hello Ada"

    def test_asks_for_the_variables_of_its_layout_and_partials(self, api, organization):
        partial(api, "sum", text="{{ total }}")
        api.post(f"{URL}layouts/", {"name": "brand", "text": "{{ content }}{{ sender }}"})
        template(api, {**EMAIL_EN, "html": "", "text": "{% render 'sum' %}", "layout": "brand"})
        (version,) = api.get(f"{URL}hello/versions/").json()["data"]
        assert version["required"] == ["name", "sender", "total"]
        assert version["pinned"] == {"layouts": {"brand": 1}, "partials": {"sum": 1}}

    def test_stays_what_it_was_when_its_parts_change_and_go(self, api, brand, user):
        partial(api, "bye", html="<b>Bye</b>", text="Bye")
        template(api, {**HELLO, "html": '{% render "bye" %}', "text": "{%render 'bye'%}"})
        before = api.post(f"{URL}hello/preview/", {"variables": {"name": "Ada"}}).json()["data"]
        assert "<b>Bye</b>" in before["contents"]["email"]["html"]

        api.patch(f"{URL}layouts/brand/", {"html": "<div>{{ content }}</div>"})
        api.patch(f"{URL}partials/bye/", {"html": "<b>So long</b>"})
        assert api.post(f"{URL}hello/preview/", {"variables": {"name": "Ada"}}).json()["data"] == before
        source = api.get(f"{URL}hello/versions/1/").json()["data"]["contents"][0]
        assert (source["html"], source["layout"]) == ('{% render "bye" %}', "brand")
        assert api.post(f"{URL}hello/versions/", {"contents": [source], "activate": True}).status_code == 201
        newest = api.post(f"{URL}hello/preview/", {"variables": {"name": "Ada"}}).json()["data"]
        assert newest["contents"]["email"]["html"] == "<div><b>So long</b></div>"

        for path in ("layouts/brand/", "partials/bye/"):
            assert api.delete(URL + path).status_code == 204
        answer = api.post(f"{URL}hello/preview/", {"version": 1, "variables": {"name": "Ada"}})
        assert answer.json()["data"] == before
        assert error(api.post(f"{URL}hello/versions/", {"contents": [source]}), "contents[0].layout")

    def test_is_distinguished_from_newer_parts(self, api, brand):
        partial(api, "bye", text="Bye")
        template(api, {**HELLO, "text": "{% render 'bye' %}"})
        template(api, EMAIL_EN, code="without")
        template(api, {**HELLO}, code="second")
        uses = f"{URL}layouts/brand/uses/"
        old = {"template": "hello", "version": 1, "revision": 1, "outdated": False}
        assert api.get(uses).json()["data"] == [old, {**old, "template": "second"}]
        assert api.get(f"{URL}partials/bye/uses/").json()["data"] == [old]

        api.patch(f"{URL}layouts/brand/", {"text": "{{ content }}"})
        assert api.post(f"{URL}second/versions/", {"contents": [HELLO], "activate": True}).status_code == 201

        assert api.get(uses).json()["data"] == [
            {**old, "outdated": True},
            {"template": "second", "version": 2, "revision": 2, "outdated": False},
        ]
        assert api.get(f"{URL}partials/bye/uses/").json()["data"] == [old]
        api.delete(f"{URL}hello/")
        assert [row["template"] for row in api.get(uses).json()["data"]] == ["second"]

    def test_shows_a_change_of_layout_in_the_diff(self, api, brand):
        template(api, EMAIL_EN)
        api.post(f"{URL}hello/versions/", {"contents": [HELLO]})
        (change,) = api.get(f"{URL}hello/diff/").json()["data"]["changes"]
        assert (change["part"], change["change"]) == ("layout", "added")

    def test_takes_partials_into_every_part(self, api, organization):
        partial(api, "who", html="<b>{{ name }}</b>", text="{{ name }}!")
        who = "{% render 'who' %}"
        rendered = shown(
            api,
            {**EMAIL_EN, "subject": who, "html": who, "text": who},
            {
                **PUSH_EN,
                "title": who,
                "body": who,
                "data": {"who": who},
                "link": "https://x/?{% render 'who' %}",
            },
            name="<Ada>",
        )
        assert rendered["email"]["html"] == "<b>&lt;Ada&gt;</b>"
        assert (rendered["email"]["subject"], rendered["email"]["text"]) == ("<Ada>!", "<Ada>!")
        assert (rendered["push"]["title"], rendered["push"]["data"]) == ("<Ada>!", {"who": "<Ada>!"})
        assert rendered["push"]["link"] == "https://x/?<Ada>!"

    def test_has_partials_in_partials_and_sees_what_stands_before(self, api, organization):
        partial(api, "inner", text="[{{ label }}]")
        partial(api, "outer", text="({% render 'inner' %})")
        source = "{% for label in labels %}{% render 'outer' %}{% endfor %}"
        rendered = shown(api, {**EMAIL_EN, "html": "", "text": source}, labels=["a", "b"])
        assert rendered["email"]["text"] == "([a])([b])"

    def test_keeps_what_only_looks_like_a_partial(self, api, organization):
        source = "{% raw %}{% render 'x' %}{{ layout.y }}{% endraw %} {{ content }}"
        rendered = shown(api, {**EMAIL_EN, "html": "", "text": source}, content="C")
        assert rendered["email"]["text"] == "{% render 'x' %}{{ layout.y }} C"

    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("a\n {% render 'nope' %}", 'line 2, column 2: there is no partial named "nope"'),
            ("{% render 'webbed' %}", "has no text"),
            ("{% render 'late', a: 1 %}", "not available"),
            ("{% include 'late' %}", "not available"),
            ("{% liquid render 'late' %}", "not available"),
            (
                "{% render 'late' %}{{ layout }}\n{{ layout.nope }}",
                "line 2, column 1: the layout has no value",
            ),
            ("{% if name %}{% render 'late' %}", "endif"),
        ],
    )
    @pytest.mark.usefixtures("brand")
    def test_says_where_a_partial_cannot_be_put_in(self, source, expected, api):
        partial(api, "webbed", html="<b>x</b>")
        partial(api, "late", text="x")
        before = stored()
        body = {"contents": [EMAIL_EN, {**HELLO, "language": "fr", "text": source}]}
        detail = error(api.post(URL, {"code": "hello", "name": "Hello", **body}), "contents[1].text")
        assert expected in detail
        assert stored() == before
        for send, path in ((api.put, "draft/"), (api.post, "versions/")):
            api.post(URL, {"code": "hello", "name": "Hello"})
            assert error(send(f"{URL}hello/{path}", body), "contents[1].text") == detail

    def test_partials_cannot_go_in_circles(self, api, organization):
        partial(api, "a", text="a")
        partial(api, "b", text="\n{% render 'a' %}")
        detail = error(api.patch(f"{URL}partials/a/", {"text": "x {% render 'b' %}"}), "text")
        assert detail == 'the partial "a", line 1, column 3: the partial "b" includes itself: b → a → b'
        assert "includes itself" in error(
            api.patch(f"{URL}partials/a/", {"text": "{% render 'a' %}"}), "text"
        )

    def test_partials_are_nested_ten_deep_at_most(self, api, organization):
        partial(api, "p0", text="x")
        for depth in range(1, 10):
            partial(api, f"p{depth}", text=f"{{% render 'p{depth - 1}' %}}")
        assert shown(api, {**EMAIL_EN, "html": "", "text": "{% render 'p9' %}"})["email"]["text"] == "x"
        partial(api, "p10", text="{% render 'p9' %}")
        content = {**EMAIL_EN, "text": "{% render 'p10' %}"}
        answer = api.post(f"{URL}substitute/", {"contents": [content], "variables": {}})
        assert "deeper than 10" in error(answer, "contents[0].text")

    def test_a_push_has_no_layout(self, api, brand):
        body = {"contents": [{**PUSH_EN, "layout": "brand"}]}
        assert error(api.post(URL, {"code": "x", "name": "x", **body}), "contents[0].layout")


def test_a_draft_warns_when_a_change_has_broken_it(api, brand):
    api.post(URL, {"code": "hello", "name": "Hello"})
    assert api.put(f"{URL}hello/draft/", {"contents": [HELLO]}).status_code == 201
    preview = {"draft": True, "variables": {"name": "Ada"}}
    assert "Acme" in api.post(f"{URL}hello/preview/", preview).json()["data"]["contents"]["email"]["html"]
    api.patch(f"{URL}layouts/brand/", {"html": "<p>New{{ content }}</p>"})
    assert "New" in api.post(f"{URL}hello/preview/", preview).json()["data"]["contents"]["email"]["html"]

    api.delete(f"{URL}layouts/brand/")

    assert api.get(f"{URL}hello/draft/").json()["data"]["warnings"] == [
        "contents[0].layout: There is no layout with this name."
    ]
    assert error(api.post(f"{URL}hello/preview/", preview), "contents[0].layout")
    assert error(api.post(f"{URL}hello/draft/publish/", {}), "contents[0].layout")


def test_the_words_of_parts_are_reserved(api, organization):
    for code in ("layouts", "partials"):
        answer = api.post(URL, {"code": code, "name": "x"})
        assert refused(answer, 400)["errors"][0]["code"] == "reserved"


def test_an_email_goes_out_in_its_layout(api, brand, user, smtp: ScriptedSmtpServer, worker: None) -> None:
    template(api, HELLO)
    Layout.objects.all().delete()
    assert TemplateContent.objects.get().parts["html"] == EMAIL_EN["html"]

    assert post(api, user).status_code == 202
    settled("sent")

    message = email.message_from_bytes(smtp.messages[0].data, policy=email.policy.default)
    html, text = message.get_body(("html",)), message.get_body(("plain",))
    assert html is not None
    assert "<h1>Acme &amp; Co</h1><p>Hello <b>Ada</b></p>" in html.get_content()
    assert text is not None
    assert text.get_content().startswith("ACME")
