"""The tables of docs/templates.md: what is other than in Shopify's Liquid, in MJML and in other CSS inliners."""

import re
from pathlib import Path

import pytest

from apps.templates.html.inlining import inlined
from apps.templates.html.mjml import MarkupError, compiled, inline_sheets
from apps.templates.liquid.scanning import spans
from apps.templates.rendering.rendering import RenderError, TemplateSyntaxError, check, variables_of
from tests.support.rendering import EmailContent, render_email
from tests.templates.rendering.test_dashes_around_parts import rendered

GUIDE = Path(__file__).parents[3] / "docs" / "templates.md"


def text(source: str, **variables: object) -> str:
    check(source, html=False)
    return render_email(EmailContent(subject="", text=source), variables).text


def refused(source: str, message: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=message):
        check(source, html=True)


def mjml(column: str, head: str = "") -> str:
    body = f"<mj-body><mj-section><mj-column>{column}</mj-column></mj-section></mj-body>"
    source = f"<mjml><mj-head>{head}</mj-head>{body}</mjml>"
    return compiled(source, spans(source))


def test_every_row_has_its_test() -> None:
    named = set(
        re.findall(r"\| `(test_\w+)` \|$", GUIDE.read_text().partition("## What differs")[2], re.MULTILINE)
    )
    there = {name for name in globals() if name.startswith("test_")} - {"test_every_row_has_its_test"}
    assert named == there


def test_a_missing_variable() -> None:
    for source in ("{{ a }}", "{{ a | upcase }}", "{% for i in a %}{% endfor %}"):
        assert variables_of(source).required == {"a"}
        with pytest.raises(RenderError, match="a is missing"):
            text(source)
    assert text("{% if a %}{{ a }}{% endif %}{{ a | default: 'x' }}{% if a == blank %}y{% endif %}") == "xy"


def test_partials() -> None:
    refused("{% include 'goodbye' %}", "not available")
    refused("{% render 'goodbye', a: 1 %}", "not available")
    assert rendered("{% assign v = 'W' %}{% render 'name' %}") == "W"


def test_an_error_at_rendering() -> None:
    with pytest.raises(RenderError, match="line 2: the filter divided_by"):
        text("a\n{{ 1 | divided_by: zero }}b", zero=0)


def test_filters_that_cannot_work() -> None:
    refused("{{ a | shout }}", "no filter 'shout'")
    refused("{{ a | append }}", "takes 1 argument")
    refused("{{ a | divided_by: 0 }}", "can't work")


def test_what_liquid_reads_past() -> None:
    refused("{% if a %}x{% else b %}y{% endif %}", "elsif")
    refused("{% if a %}x{% else %}y{% else %}z{% endif %}", "endif")
    refused("{% unless a %}x{% else %}y{% elsif b %}z{% endunless %}", "endunless")
    refused("{{ a[0]b }}", "dot or bracket")


def test_values_in_html() -> None:
    source = EmailContent(subject="", html="{{ a }}{{ a | append: '<i>' }}{{ '<i>' }}")
    assert render_email(source, {"a": "<b>"}).html == "&lt;b&gt;&lt;b&gt;<i><i>"
    refused("{{ a | safe }}", "no filter 'safe'")


def test_an_object() -> None:
    assert text("{{ a }}", a={"b": 1, "c": [None, True]}) == '{"b": 1, "c": [null, true]}'


def test_now() -> None:
    for name in ("now", "today"):
        assert text(f"{{{{ {name} | date: '%Y' }}}}") == text(f"{{{{ '{name}' | date: '%Y' }}}}")
        assert not variables_of(f"{{{{ {name} }}}}").required


def test_seconds_with_a_fraction() -> None:
    assert text("{{ a | date: '%Y-%m-%d %H:%M:%S.%L' }}", a=1700000000.5) == "2023-11-14 22:13:20.500"


def test_a_date_with_the_month_first() -> None:
    assert text("{{ '12/31/2026' | date: '%-d %B %Y' }}") == "31 December 2026"
    assert text("{{ '12/11/2026' | date: '%-d %B %Y' }}") == "12 November 2026"


def test_a_time_without_a_zone() -> None:
    assert text("{{ '2026-03-09 15:04' | date: '%H:%M %Z' }}") == "15:04 UTC"


def test_a_comment_with_something_open() -> None:
    assert text("a{% comment %}{{ b {% assign c = 'd'{% endcomment %}e") == "ae"


def test_a_nil_item() -> None:
    rows = [None, {"a": 1, "b": "c"}]
    assert (
        text("{{ v | where: 'a', 1 | map: 'b' | join }}{{ v | sum: 'a' }}{{ v | has: 'a' }}", v=rows)
        == "c1true"
    )


def test_letters_with_marks() -> None:
    assert text("{{ v | sort_natural | join }}", v=["Äc", "äb", "Äa"]) == "Äa äb Äc"


def test_mj_include() -> None:
    with pytest.raises(MarkupError, match="loads nothing"):
        mjml('<mj-include path="a.mjml" />')


def test_web_fonts() -> None:
    column = '<mj-text font-family="Roboto, Mine">x</mj-text>'
    assert "fonts.googleapis.com" not in mjml(column)
    assert "https://f.test/mine.css" in mjml(column, '<mj-font name="Mine" href="https://f.test/mine.css" />')


def test_an_unknown_element() -> None:
    with pytest.raises(MarkupError, match="no element <mj-chart>") as caught:
        mjml("<mj-chart></mj-chart>")
    assert caught.value.index > 0


def test_around_the_document() -> None:
    source = "<mjml><mj-body></mj-body></mjml>"
    assert compiled("{% if a %}" + source, [(0, 10)]).startswith("{% if a %}<!doctype")
    with pytest.raises(MarkupError, match="nothing but Liquid"):
        compiled(f"Hello {source}", [])


def test_an_inline_style() -> None:
    head = '<mj-style inline="inline">.a div { color: red }</mj-style>'
    made = mjml('<mj-text css-class="a">x</mj-text>', head)
    assert ".a div { color: red }" in made
    assert 'style="color: red; font-family' in inlined(made, inline_sheets(head, []))


def test_the_title_of_an_image() -> None:
    made = mjml('<mj-image src="https://i.test/a.png" href="https://x.test" title="T" />')
    assert re.search(r'<img[^>]*title="T"', made)
    assert not re.search(r'<a [^>]*title="T"', made)


def test_the_sheet_stays() -> None:
    assert inlined("<style>p{a:b}</style><p>") == '<style>p{a:b}</style><p style="a: b;">'


def test_the_rest_of_the_html() -> None:
    odd = "<P CLASS=x\n>a &copy b<br/></p ><!-- c --><p hidden>"
    assert re.sub(' style="[^"]*"', "", inlined(f"<style>p{{a:b}}</style>{odd}")).endswith(odd)


def test_no_attributes_of_css() -> None:
    made = inlined("<style>td{width:100px;background-color:red}</style><table><tr><td>")
    assert made.endswith('<td style="width: 100px;background-color: red;">')


def test_nothing_is_fetched() -> None:
    source = (
        "<link rel=stylesheet href=https://x.test/a.css><style>@import 'https://x.test/b.css';p{a:b}</style>"
    )
    assert inlined(f"{source}<p>") == f'{source}<p style="a: b;">'


def test_liquid_decides() -> None:
    source = (
        "<style>.a{b:c}</style><style>p{d:{{ e }}}</style><p class='{{ f }}'><p {% if g %}class=a{% endif %}>"
    )
    assert inlined(source) == source
