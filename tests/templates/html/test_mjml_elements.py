"""MJML as its manual has it, where the library knows less: attributes of the finished HTML, images of which nothing
is said, Liquid around the document."""

import re

import pytest

from apps.templates.html.mjml import MarkupError, compiled
from apps.templates.liquid.scanning import spans
from apps.templates.models import TemplateContent
from tests.support.factories import EMAIL_EN

URL = "/api/v1/templates/"


def html_of(source: str) -> str:
    return compiled(source, spans(source))


def document(column: str, head: str = "") -> str:
    body = f"<mj-body><mj-section><mj-column>{column}</mj-column></mj-section></mj-body>"
    return f"<mjml>{f'<mj-head>{head}</mj-head>' if head else ''}{body}</mjml>"


def attrs(path: str, *attributes: tuple[str, str]) -> str:
    inner = "".join(
        f'<mj-html-attribute name="{name}">{value}</mj-html-attribute>' for name, value in attributes
    )
    return f'<mj-html-attributes><mj-selector path="{path}">{inner}</mj-selector></mj-html-attributes>'


HELLO = '<mj-text css-class="hello">Hello <b id="x">you</b></mj-text>'


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (attrs(".hello div", ("data-kind", "greeting")), r'<div data-kind="greeting" style="font'),
        (attrs(".hello", ("data-id", "1"), ("title", "T")), r'<td data-id="1" title="T"[^>]*class="hello"'),
        (attrs("#x", ("data-x", "{{ name }}")), r'<b data-x="{{ name }}" id="x">'),
        (attrs("b", ("data-x",
        "a{% if b &lt; c %}&quot;{% endif %}")), r'<b data-x="a{% if b &lt; c %}&quot;{% endif %}"'),
        (attrs(".hello &gt; div", ("data-x", "y")), r'<div data-x="y"'), (attrs("b", ("id", "z")), r'<b id="z">you'),
        (attrs("b", ("data-x", 'say "hi"')), r'<b data-x="say &quot;hi&quot;"'),
        (attrs("b", ("data-x", "")), r'<b data-x=""'),
        (attrs("b", ("data-x", " 1\n")), r'<b data-x="1"'), (attrs("b", ("data-x", "1"),
        ("data-x", "2")), r'<b data-x="2" id'),
        (attrs("td b", ("a", "1")) + attrs("b", ("b", "2")), r'<b a="1" b="2" id="x">'),
        (attrs("div.nowhere", ("a", "1")), r'<b id="x">'), ("<mj-html-attributes/>", r'<b id="x">'),
        (attrs("b", ("data-x", "R&amp;D")), r'<b data-x="R&amp;D"'), (attrs("b, i", ("a", "1")), r'<b a="1"'),
    ],
)  # fmt: skip
def test_attributes_of_the_finished_html(head: str, found: str) -> None:
    made = html_of(document(HELLO, f"<mj-title>T</mj-title>{head}<mj-preview>P</mj-preview>"))
    assert re.search(found, made) or found in made
    assert "<mj-" not in made
    assert "<title>T</title>" in made
    assert "Hello <b" in made


def test_without_them_nothing_else_changes() -> None:
    plain = html_of(document(HELLO, "<mj-title>T</mj-title>"))
    made = html_of(document(HELLO, f"<mj-title>T</mj-title>{attrs('b', ('data-x', 'y'))}"))
    assert made.replace(' data-x="y"', "") == plain


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (attrs("", ("a", "1")), "needs a path"), (attrs("{{ x }}", ("a", "1")), "needs a path"),
        (attrs("a{b:c}", ("a", "1")), "one CSS selector"),
        (attrs("b", ("", "1")), "needs a name"), (attrs("b", ("a b", "1")), "no valid attribute name"),
        (attrs("b", ("{{ x }}", "1")), "needs a name"),
        (attrs("b", ('a"', "1")), "begins no tag"), ("<mj-html-attributes>", "not closed"),
        ("<mj-html-attribute/>", "can't be read"),
    ],
)  # fmt: skip
def test_an_error_in_them_is_reported(head: str, expected: str) -> None:
    with pytest.raises(MarkupError, match=expected):
        html_of(document(HELLO, head))


IMAGE = '<mj-image src="http://i.test/a.png" />'


@pytest.mark.parametrize(
    ("column", "head", "expected"),
    [
        (IMAGE, "", [""]), (IMAGE.replace("/>", 'alt="Logo" />'), "", ["Logo"]),
        (IMAGE.replace("/>", 'alt="" />'), "<mj-title>T</mj-title>", [""]),
        (IMAGE.replace("/>", 'alt="{{ n }}" />') + IMAGE, "", ["{{ n }}", ""]),
        (IMAGE, "<mj-attributes><mj-image alt='All' /></mj-attributes>", ["All"]),
        (IMAGE, "<mj-attributes><mj-all alt='All' /></mj-attributes>", ["All"]),
        (IMAGE.replace("/>", 'mj-class="c" />'),
         "<mj-attributes><mj-class name='c' alt='C' /></mj-attributes>", ["C"]),
        (IMAGE.replace("/>", 'href="http://i.test" />'), "", [""]),
        (f"{{% if a %}}{IMAGE}{{% endif %}}", "{% comment %}x{% endcomment %}", [""]),
        ('<mj-social><mj-social-element name="x" src="http://i.test/x.png" /></mj-social>', "", [""]),
        ('<mj-social><mj-social-element name="x" src="http://i.test/x.png" alt="X" /></mj-social>', "", ["X"]),
        ('<mj-text>x <img src="http://i.test/b.png"/></mj-text>', "", [None]),
    ],
)  # fmt: skip
def test_an_image_without_alt_gets_an_empty_one(column: str, head: str, expected: list[str | None]) -> None:
    made = html_of(document(column, head))
    images = re.findall(r"<img[^>]*>", made)
    assert [(found := re.search(r'alt="([^"]*)"', image)) and found[1] for image in images] == expected


def test_a_carousels_images_have_them_too_and_an_empty_head_is_none() -> None:
    column = '<mj-carousel><mj-carousel-image src="http://i.test/1.png" /></mj-carousel>'
    made = html_of(document(column).replace("<mj-body>", "<mj-head/><mj-body>"))
    assert all("alt=" in image for image in re.findall(r"<img[^>]*>", made))
    text = html_of(
        document("<mj-text>x</mj-text><mj-table><tr><td>y</td></tr></mj-table><mj-button>z</mj-button>")
    )
    assert "alt=" not in text


BARE = document("<mj-text>{{ shop }}</mj-text>")


@pytest.mark.parametrize(
    ("source", "before", "after"),
    [
        ('{% assign shop = "Acme" %}' + BARE, '{% assign shop = "Acme" %}', ""),
        ("\n {% assign a = 1 %}\n{% assign b = 2 %}\n" + BARE, "{% assign a = 1 %}{% assign b = 2 %}", ""),
        ("{% if a %}" + BARE + "{% endif %}", "{% if a %}", "{% endif %}"),
        ("{% comment %}<mjml>{% endcomment %}" + BARE, "{% comment %}<mjml>{% endcomment %}", ""),
        ("<!-- note -->\n{% capture shop %}{% endcapture %}" + BARE, "{% capture shop %}{% endcapture %}", ""),
        (BARE + "\n", "", ""), ("\r\n" + BARE, "", ""),
        (BARE + "{% comment %}x{% endcomment %}<!-- y -->", "", "{% comment %}x{% endcomment %}"),
        ("{%- liquid\nassign shop = 1\n-%}" + BARE, "{%- liquid\nassign shop = 1\n-%}", ""),
        ("{% raw %}{% endraw %}" + BARE, "{% raw %}{% endraw %}", ""),
    ],
)  # fmt: skip
def test_liquid_may_stand_around_the_document(source: str, before: str, after: str) -> None:
    made = html_of(source)
    assert made.startswith(f"{before}<!doctype html>")
    assert made.endswith(f"</html>{after}")
    assert "{{ shop }}" in made


@pytest.mark.parametrize(
    ("source", "expected", "index"),
    [
        ("x" + BARE, "before <mjml>", 0), ("{% assign a = 1 %}\n x" + BARE, "before <mjml>", 20),
        ("<!-- a -->b" + BARE, "before <mjml>", 10),
        (BARE + " y", "after </mjml>", len(BARE) + 1), (BARE + BARE, "after </mjml>", len(BARE)),
        ("<p></p>" + BARE, "begins with <mjml>", 0),
    ],
)  # fmt: skip
def test_anything_else_around_it_is_refused(source: str, expected: str, index: int) -> None:
    with pytest.raises(MarkupError, match=expected) as caught:
        html_of(source)
    assert caught.value.index == index


def test_what_is_saved_is_what_is_sent(api, organization):
    source = '{% assign shop = "Acme" %}' + document(
        f"<mj-text css-class='s'>{{{{ shop }}}}</mj-text>{IMAGE}",
        attrs(".s div", ("data-shop", "{{ shop }}")),
    )
    content = {**EMAIL_EN, "html": source, "source_format": "mjml"}
    assert api.post(URL, {"code": "shop", "name": "Shop", "contents": [content]}).status_code == 201
    assert TemplateContent.objects.get().compiled["html"].startswith("{% assign")
    shown = api.post(f"{URL}shop/preview/", {"variables": {"name": "Ada"}}).json()["data"]["contents"][
        "email"
    ]["html"]
    assert 'data-shop="Acme"' in shown
    assert ">Acme</div>" in shown
    assert 'alt=""' in shown
    assert shown.startswith("<!doctype html>")
