"""Rendering of emails and pushes."""

import html
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.templates.liquid.engine import SOURCE_LIMIT
from apps.templates.rendering.rendering import (
    RenderError,
    TemplateError,
    TemplateSyntaxError,
    check,
    variables_of,
)
from tests.support.rendering import EmailContent, PushContent, render_email, render_push


def text(source: str, **variables: object) -> str:
    return render_email(EmailContent(subject="", text=source), variables).text


def as_html(source: str, **variables: object) -> str:
    return render_email(EmailContent(subject="", html=source), variables).html


# --- What is rendered -------------------------------------------------------------------------------------


def test_an_email_has_three_parts_and_only_html_is_escaped() -> None:
    source = EmailContent("Hi {{ name }}", "<p>{{ name }}</p>", "Dear {{ name }}")
    assert render_email(source, {"name": "R&D"}) == EmailContent("Hi R&D", "<p>R&amp;D</p>", "Dear R&D")


def test_no_part_is_made_from_another() -> None:
    assert render_email(EmailContent("s", html="<p>x</p>"), {}).text == ""
    assert render_email(EmailContent("s", text="x"), {}).html == ""


def test_a_push_renders_its_data_values_and_keeps_the_keys() -> None:
    source = PushContent(
        "{{ a }}!", "B {{ a }}\nC", "https://x.test/{{ a }}.png", "shop://order/{{ a }}", {"{{k}}": "{{ a }}"}
    )
    assert render_push(source, {"a": 7}) == PushContent(
        "7!", "B 7\nC", "https://x.test/7.png", "shop://order/7", {"{{k}}": "7"}
    )


def test_loops_conditions_and_filters_work_as_in_the_manual() -> None:
    each = "{{ forloop.index }}:{{ i.name | upcase }}{% unless forloop.last %},{% endunless %}"
    source = "{% for i in items %}" + each + "{% endfor %}"
    assert text(source, items=[{"name": "a"}, {"name": "b"}]) == "1:A,2:B"
    assert text("{{ '2024-03-01' | date: '%d/%m/%Y' }} {{ 3 | times: 1.5 }}") == "01/03/2024 4.5"


@pytest.mark.parametrize(
    "value", ["a\r\nBcc: x@y.test", "a\nb", "a\x00b", "a\u2028b", "a\x85b", "\ta \x0b\n b"]
)
def test_subject_and_title_stay_one_line(value: str) -> None:
    subject = render_email(EmailContent("S {{ v }}"), {"v": value}).subject
    title = render_push(PushContent("S {{ v }}", "b"), {"v": value}).title
    assert subject == title
    assert len(subject.splitlines()) == 1
    assert subject.isprintable()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_variable_is_always_escaped_in_html(value: str) -> None:
    escaped = html.escape(value).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    assert as_html("<b>{{ v }}</b>", v=value) == f"<b>{escaped}</b>"


@pytest.mark.parametrize(
    "used",
    [
        "{{ v | append: '!' }}", "{{ '<i>' | append: v }}", "{{ l | join: '<br>' }}", "{{ l }}", "{{ d }}",
        "{% capture c %}{{ v }}{% endcapture %}{{ c | upcase | downcase }}",
        "{% assign a = v %}{{ a | strip }}",
        "{{ v | newline_to_br }}", "{{ v | strip_newlines }}", "{{ v | escape_once }}", "{{ v | escapejs }}",
        "{{ '<b>x</b>' | replace: 'x', v }}", "{{ v | base64_encode | base64_decode }}",
        "{{ v | url_encode | url_decode }}",
        "{{ nothing | default: v }}", "{% for x in l %}{{ x }}{% endfor %}", "{% cycle v, v %}",
        "{{ v | slice: 0, 99 }}",
        "{% tablerow x in l %}{{ x }}{% endtablerow %}", "{{ v | split: 'q' | first }}", "{% echo v %}",
        "{{ v | date: '%Y' }}",
    ],
)  # fmt: skip
def test_no_filter_or_tag_lets_markup_through(used: str) -> None:
    evil = "<script>&\"'"
    assert "<script" not in as_html(used, v=evil, l=[evil], d={evil: evil})


# --- What is refused when rendering -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "JavaScript:x", "java\nscript:x", "data:text/html,x", "vbscript:x", "file:///etc/passwd",
            "/orders/1", "shop", "https://", "https://exa mple.test", "http://[::1", " \tjavascript:x"],
)  # fmt: skip
def test_a_link_that_could_do_harm_is_refused(url: str) -> None:
    with pytest.raises(RenderError) as caught:
        render_push(PushContent("t", "b", link="{{ u }}"), {"u": url})
    assert caught.value.field == "link"


@pytest.mark.parametrize(
    "url", ["", "https://x.test/a?b=c", "HTTP://x.test", "shop://orders/1", "mailto:a@b.test"]
)
def test_a_link_may_be_empty_web_or_an_apps_own(url: str) -> None:
    assert render_push(PushContent("t", "b", link="{{ u }}"), {"u": url}).link == url


@pytest.mark.parametrize("url", ["shop://x", "ftp://x.test/a.png", "javascript:x"])
def test_an_image_comes_from_the_web(url: str) -> None:
    with pytest.raises(RenderError) as caught:
        render_push(PushContent("t", "b", image=url), {})
    assert caught.value.field == "image"


def test_a_missing_variable_is_named_with_its_field_and_line() -> None:
    with pytest.raises(RenderError) as caught:
        render_email(EmailContent("s", html="<p>\n{{ order.id }}</p>"), {"order": {}})
    assert (caught.value.field, caught.value.message) == ("html", "line 2: the variable order.id is missing")
    with pytest.raises(RenderError) as caught:
        render_push(PushContent("t", "b", data={"k": "{{ x }}"}), {})
    assert caught.value.field == "data.k"


@pytest.mark.parametrize(
    "source",
    [
        "{{ x }}", "{{ x | upcase }}", "{{ x | upcase | default: 'a' }}", "{{ x | date: '%Y' }}",
        "{{ 1 | plus: x }}",
        "{{ x | plus: 1 }}", "{{ 'a' | append: x }}", "{{ x | size }}", "{{ x | first }}", "{{ x | join }}",
        "{% for i in x %}{% endfor %}", "{% assign y = x %}", "{{ given.x }}", "{{ list[3] }}",
        "{{ list.first.x }}",
    ],
)  # fmt: skip
def test_a_missing_variable_is_an_error_wherever_its_value_is_used(source: str) -> None:
    with pytest.raises(RenderError, match="missing"):
        text(source, given={}, list=[])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ x | default: 'a' }}", "a"), ("{{ x.y.z | default: 'a' }}", "a"),
        ("{% if x %}a{% else %}b{% endif %}", "b"),
        ("{% if x.y == 'q' %}a{% else %}b{% endif %}", "b"), ("{% unless x %}b{% endunless %}", "b"),
        ("{% if x contains 'a' or x > 3 %}a{% else %}b{% endif %}", "b"),
        ("{% case x %}{% when 'q' %}a{% else %}b{% endcase %}", "b"), ("{{ none }}", ""),
        ("{{ none | default: 'a' }}", "a"),
    ],
)  # fmt: skip
def test_a_missing_variable_is_false_in_a_condition_and_default_replaces_it(
    source: str, expected: str
) -> None:
    assert text(source, none=None) == expected


class Loud(str):
    def __html__(self) -> str:
        return "<b>"


@pytest.mark.parametrize("value", [object(), Loud("x"), {"a": {1, 2}}, {1: 2}, (1,), [b"x"], time])
def test_only_plain_values_go_in(value: object) -> None:
    with pytest.raises(RenderError) as caught:
        text("x", v=value)
    assert caught.value.field == "variables"


def test_variables_have_a_size_and_a_depth() -> None:
    deep: list[object] = []
    for _ in range(40):
        deep = [deep]
    for value in (deep, "x" * 2**21, 10**40, [0] * 200_000):
        with pytest.raises(RenderError) as caught:
            text("x", v=value)
        assert caught.value.field == "variables"


@pytest.mark.parametrize(
    "source",
    ["{{ v | base64_decode }}", "{{ v | concat: v }}", "{{ 'x' | slice: v }}", "{{ v | upcase: 1, 2 }}"],
)
def test_an_error_never_quotes_a_value(source: str) -> None:
    with pytest.raises(RenderError) as caught:
        text(source, v="s3cret-9")
    assert "s3cret" not in str(caught.value)


def test_a_variable_that_is_not_valid_text_is_an_error() -> None:
    with pytest.raises(RenderError, match="not valid text"):
        text("{{ v }}", v="\ud800")


def test_a_source_that_was_never_checked_names_its_field() -> None:
    with pytest.raises(RenderError) as caught:
        render_email(EmailContent("{{ a"), {})
    assert caught.value.field == "subject"
    assert "line 1, column 1" in caught.value.message


# --- What is refused when checking ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "line", "column", "message"),
    [
        ("Hello\n  {{ name", 2, 3, "not closed"), ("{{ }}", 1, 1, "nothing"), ("a\n{% nope %}", 2, 4, "nope"),
        ("{{ a | shout }}", 1, 8, "no filter 'shout'"), ("x{{ a | safe }}", 1, 9, "no filter 'safe'"),
        ("{% if a %}\nb", 2, 2, "{% endif %} is missing"), ("{% for a b %}", 1, 10, "expected in"),
        ("{% include 'x' %}", 1, 4, "not available"), ("{% render x %}", 1, 4, "not available"),
        ("{% extends 'x' %}", 1, 4, "extends"), ("{{ 'a }}", 1, 4, "unexpected"), ("{{ a b }}", 1, 6, ""),
        ("{% raw %}\n{{ x }}", 1, 1, "endraw"), ("{% if a %}x{% else if b %}y{% endif %}", 1, 20, "elsif"),
        ("{{ a |", 1, 1, "not closed"), ("ok\n\n{% assign = 3 %}", 3, 11, ""),
        ("{% if %}{% endif %}", 1, 4, "missing expression"),
    ],
)  # fmt: skip
def test_an_error_has_its_position_and_reason(source: str, line: int, column: int, message: str) -> None:
    for html_on in (True, False):
        with pytest.raises(TemplateSyntaxError) as caught:
            check(source, html=html_on)
        assert (caught.value.line, caught.value.column) == (line, column)
        assert message in caught.value.message
        assert len(caught.value.message) <= TemplateError.LIMIT


def test_a_source_has_a_largest_size() -> None:
    check("x" * SOURCE_LIMIT, html=True)
    for source in ("x" * (SOURCE_LIMIT + 1), "é" * (SOURCE_LIMIT // 2 + 1), "x" * 2**20):
        with pytest.raises(TemplateSyntaxError, match="64 KiB"):
            check(source, html=True)


def test_styles_scripts_and_raw_text_are_left_alone() -> None:
    style = "<style>a{b:c}d{width:100%}</style>"
    source = style + "{% raw %}{{ x {% y {% endraw %}{% comment %}{{ z }}{% endcomment %}"
    assert as_html(source) == style + "{{ x {% y "


@given(st.text(alphabet="{}%|'\"[]().: \nabifendoraw-=#<>0", max_size=80), st.booleans())
def test_nothing_but_a_template_error_is_raised(source: str, html_on: bool) -> None:
    try:
        check(source, html=html_on)
        (as_html if html_on else text)(source, a=1, b=[1, "x"], i={"f": None})
        variables_of(source)
    except TemplateError:
        pass
