"""MJML is compiled when a version is made: Liquid comes out as it went in, and nothing is loaded."""

import time

import pytest

from tests.support.factories import EMAIL_EN
from tests.support.routes import refused, stored

URL = "/api/v1/templates/"


def document(body, head=""):
    return f"<mjml><mj-head>{head}</mj-head><mj-body>{body}</mj-body></mjml>"


def section(inside):
    return f"<mj-section><mj-column>{inside}</mj-column></mj-section>"


def rendered(api, html, **variables):
    content = {**EMAIL_EN, "html": html, "source_format": "mjml"}
    answer = api.post(f"{URL}substitute/", {"contents": [content], "variables": {"name": "Ada", **variables}})
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]["contents"]["email"]["html"]


def error(api, html):
    content = {**EMAIL_EN, "html": html, "source_format": "mjml"}
    answer = api.post(f"{URL}", {"code": "x", "name": "x", "contents": [content]})
    (entry,) = refused(answer, 400, "validation_error")["errors"]
    assert entry["field"] == "contents[0].html"
    return entry["detail"]


@pytest.fixture(autouse=True)
def _somebody(organization):
    pass


def test_mjml_becomes_html_for_mail_readers(api):
    html = rendered(api, document(section("<mj-text>Hello {{ name }}</mj-text>")))
    assert html.startswith("<!doctype html>")
    assert "Hello Ada</div>" in html
    assert "<!--[if mso | IE]>" in html
    assert "mj-text" not in html
    assert "fonts.googleapis.com" not in html


def test_the_source_is_kept_as_it_was_written(api):
    content = {
        **EMAIL_EN,
        "html": document(section("<mj-text>{{ name }}</mj-text>")),
        "source_format": "mjml",
    }
    api.post(URL, {"code": "hello", "name": "x", "contents": [content]})
    shown = api.get(f"{URL}hello/versions/1/").json()["data"]["contents"]
    assert shown == [{**content, "layout": ""}]


def test_liquid_stands_wherever_words_and_elements_do(api):
    source = document(
        "{% for item in items %}"
        + section(
            '<mj-text color="{{ colour | default: "#111" }}">'
            "{% if item.price < 3 and name != '<x>' %}cheap{% else %}dear{% endif %} {{ item.name }}</mj-text>"
            '{% if item.link %}<mj-button href="{{ item.link }}?a=b&amp;c=d">Go</mj-button>{% endif %}'
        )
        + "{% endfor %}"
    )
    items = [
        {"name": "A & B", "price": 1, "link": "https://x.test/"},
        {"name": "C", "price": 5, "link": None},
    ]
    html = rendered(api, source, items=items)
    assert html.count('class="mj-outlook-group-fix') == 2
    assert "cheap A &amp; B" in html
    assert "dear C" in html
    assert html.count('href="https://x.test/?a=b&amp;c=d"') == 1
    assert "color:#111;" in html


@pytest.mark.parametrize(
    "tag",
    [
        "{{ name }}", "{{name}}", "{{- name -}}", "{{ 'a' | append: \"<b>&amp;\" }}", "{{ name\n | upcase }}",
        "{% if a < b %}{% endif %}", "{% assign x = '</mj-text>' %}", "{% raw %}<b>{{ x }}{% endraw %}",
        "{{ \"é\\\" }}",
        "{% comment %}<!-- -->{% endcomment %}", "{% # x %}",
    ],
)  # fmt: skip
def test_liquid_survives_byte_for_byte(tag, api):
    from apps.templates.models import TemplateContent

    places = [
        f"<mj-text>é {tag} ü</mj-text>",
        f'<mj-text css-class="a {tag}">x</mj-text>',
        f"<mj-raw>{tag}</mj-raw>",
        f"<mj-table><tr><td>1</td></tr>{tag}<tr><td>{tag}</td></tr></mj-table>",
        f"{tag}<mj-spacer/>",
        f'<mj-image src="x" alt="ö {tag}’"/>',
    ]
    for number, place in enumerate(places):
        content = {**EMAIL_EN, "html": document(section(place)), "source_format": "mjml"}
        answer = api.post(URL, {"code": f"t{number}", "name": "x", "contents": [content]})
        assert answer.status_code == 201, (place, answer.content)
        made = TemplateContent.objects.get(version__template__code=f"t{number}").compiled["html"]
        assert made.count(tag) == place.count(tag), place


def test_odd_characters_in_attributes_stay_what_they_are(api):
    title = '<mj-title>Say "hi" \\ {{ name }}</mj-title>'
    html = rendered(api, document(section("<mj-image src='x' alt='a\"b\\c\u200b’é'/>"), title), name='"x')
    assert 'alt="a&quot;b\\c\u200b’é"' in html
    assert 'aria-label="Say &quot;hi&quot; \\ &#34;x"' in html


@pytest.mark.parametrize(
    ("source", "place", "message"),
    [
        (document("\n  <mj-txt>x</mj-txt>"), "line 2, column 3", "no element <mj-txt>"),
        (document(section("\n<mj-text>a < b</mj-text>")), "line 2, column 12", "&lt;"),
        (document(section("\n<mj-text><p>x</mj-text>")), "line 2, column 10", "<p> is not closed"),
        (document(section("é\n<mj-text bad=x>x</mj-text>")), "", "can't be read"),
        (document(section("\n<mj-image width='{{ w }}'/>")), "line 2, column 18", "MJML drops what stands here"),
        (document("", "\n{% if a %}<mj-title>x</mj-title>{% endif %}"), "line 2, column 1", ""),
        ("<mjml><mj-body>\n<mj-section>", "line 2, column 1", "not closed"),
        ("<p>{{ name }}</p>", "line 1, column 1", "begins with <mjml>"),
        ("<mjml></mjml>", "line 1, column 1", "mj-body"),
        ("x", "line 1, column 1", "mj-body"),
        (document("\n<mj-include path='/etc/passwd'/>"), "line 2, column 1", "loads nothing"),
        (document("", "<mj-include path='http://127.0.0.1:9/x' type='css'/>"), "line 1", "loads nothing"),
        ("<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>" + document("&a;"), "line 1", ""),
        (document("<MJ-TEXT>x</MJ-TEXT>"), "line 1", "no element"),
        (document(section("<mj-text>{% if name %}</mj-text>")), "line 1", "endif"),
    ],
)  # fmt: skip
def test_an_error_has_its_position(source, place, message, api):
    before = stored()
    detail = error(api, source)
    assert place in detail
    assert message in detail
    assert stored() == before


@pytest.mark.parametrize(
    "source",
    [
        document(section("<mj-text>" + "<b>" * 8_000 + "</b>" * 0 + "</mj-text>")),
        document(section("<mj-text>" + "<b>" * 9_000 + "x" + "</b>" * 9_000 + "</mj-text>")[:65_000]),
        document("<mj-wrapper>" * 2_400 + "</mj-wrapper>" * 2_400),
        document("<mj-section>" * 5_000),
        document("<mj-text " + "a=' " * 15_000),
        document("<" * 60_000),
        document("<a " * 20_000),
        document("<!--" * 15_000),
        document("<mj-style>" * 6_000),
        document(section("<mj-text>" + "{{ x }}" * 1_990 + "</mj-text>") + "<mj-spacer/>" * 3_000),
        document(section("<mj-button>x</mj-button>" * 2_500)),
        document("<mj-section/>" * 4_900),
    ],
)
def test_hostile_mjml_ends_soon(source, api):
    began = time.monotonic()
    content = {**EMAIL_EN, "html": source, "source_format": "mjml"}
    answer = api.post(URL, {"code": "x", "name": "x", "contents": [content]})
    if answer.status_code != 201:
        assert refused(answer, 400)["errors"][0]["field"] == "contents[0].html"
    # The compiler's own limit is 3 s of its time.
    assert time.monotonic() - began < 20


class TestInALayout:
    def layout(self, api, html, **fields):
        body = {"name": "brand", "html": html, "source_format": "mjml", **fields}
        answer = api.post(f"{URL}layouts/", body)
        assert answer.status_code == 201, answer.content

    def shown(self, api, html, source_format):
        content = {**EMAIL_EN, "html": html, "source_format": source_format, "layout": "brand"}
        answer = api.post(f"{URL}substitute/", {"contents": [content], "variables": {"name": "Ada"}})
        assert answer.status_code == 200, answer.content
        return answer.json()["data"]["contents"]["email"]["html"]

    def test_sections_stand_in_an_mjml_layout(self, api):
        self.layout(
            api,
            document("\n{{ content }}\n" + section("<mj-text>Acme</mj-text>")),
            values={"colour": "#0a7d43"},
        )
        html = self.shown(
            api, section('<mj-button background-color="{{ layout.colour }}">{{ name }}</mj-button>'), "mjml"
        )
        assert 'bgcolor="#0a7d43"' in html
        assert html.index("Ada") < html.index("Acme")

    def test_html_stands_in_an_mjml_layouts_text(self, api):
        self.layout(api, document(section("<mj-text>{{ content }}</mj-text>")))
        # Unchanged: only the layout is MJML.
        html = self.shown(api, "<P>a < b{{ name }}<br>", "html")
        assert "<P>a < bAda<br></div>" in html

    def test_mjml_cannot_stand_in_html(self, api):
        api.post(f"{URL}layouts/", {"name": "brand", "html": "<b>{{ content }}</b>"})
        api.post(f"{URL}partials/", {"name": "logo", "html": "<mj-image src='x'/>", "source_format": "mjml"})
        mjml = {**EMAIL_EN, "html": document(""), "source_format": "mjml", "layout": "brand"}
        html = {**EMAIL_EN, "html": "\n{% render 'logo' %}"}
        for content, message in ((mjml, "MJML can't be put into it"), (html, "line 2, column 1")):
            answer = api.post(URL, {"code": "x", "name": "x", "contents": [content]})
            (entry,) = refused(answer, 400)["errors"]
            assert entry["field"] == "contents[0].html"
            assert message in entry["detail"]

    def test_an_error_names_the_layout_or_partial_it_is_in(self, api):
        self.layout(api, document("\n\n{{ content }}"))
        partial = {"name": "logo", "html": "\n<mj-image>", "source_format": "mjml"}
        assert api.post(f"{URL}partials/", partial).status_code == 201
        content = {**EMAIL_EN, "source_format": "mjml", "layout": "brand"}
        for html, where in (
            (section("{% render 'logo' %}"), 'the partial "logo", line 2'),
            (f"{section('')}\n <mj-nope/>", "line 2, column 2"),
            (
                f"{section('')}\n<mj-section>",
                "line 2, column 1: <mj-section> is not closed before </mj-body>",
            ),
        ):
            answer = api.post(URL, {"code": "x", "name": "x", "contents": [{**content, "html": html}]})
            assert where in refused(answer, 400)["errors"][0]["detail"]
