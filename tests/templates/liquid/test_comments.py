"""A comment is not read; dashes in the braces take blanks away, beside every tag."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as some

from apps.templates.liquid.scanning import prepared
from apps.templates.rendering.rendering import TemplateSyntaxError, check, variables_of
from tests.templates.liquid.test_printed_values import as_html, text


@pytest.mark.parametrize(
    "inside",
    [
        "", "words", "{{ name }}", "{{ not closed", "{% not closed", "}} %}", "{{", "{%", "{{ }}", "{% nope %}",
        "{% if x %}", "{% endif %}",
        "{{ a | nope }}", "{% render 'nowhere' %}", "{{ layout.nope }}", "{% comment %}deep{% endcomment %}",
        "{%- comment -%}{{ {%- endcomment -%}",
        "{% raw %}{% endcomment %}{% endraw %}", "{% raw %}{{ x",
        "{% comment %}{% comment %}{% endcomment %}{% endcomment %}",
        "{{ a }}\r\n{% b", "{% comment about %}{% endcomment %}", "{{ 'x' | date: format: 1 }}",
        "{" * 1200, "{{ " + " " * 200,
    ],
)  # fmt: skip
@pytest.mark.parametrize(("opens", "closes"), [("{% comment %}", "{% endcomment %}"),
("{%- comment -%}", "{%- endcomment -%}"),
                                               ("{%comment%}", "{%endcomment%}"),
                                               ("{% comment todo %}", "{% endcomment %}")])  # fmt: skip
def test_a_comment_is_not_read(opens: str, closes: str, inside: str) -> None:
    blank = "" if opens.startswith("{%-") else " "
    source = f"a {opens}{inside}{closes} {{{{ v }}}}"
    check(source, html=True)
    assert variables_of(source).required == {"v"}
    assert text(source, v="b") == f"a{blank}{blank}b"
    assert as_html(source, v="b") == f"a{blank}{blank}b"


@given(some.text("{}%- \n'\"|abc", max_size=60))
def test_nothing_in_a_comment_is_an_error(inside: str) -> None:
    source = f"a{{% comment %}}{inside} {{% endcomment %}}b"
    check(source, html=False)
    assert text(source) == "ab"


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ("{% comment %}x", 1, 1), ("a\n {% comment %}{% comment %}{% endcomment %}", 2, 2),
        ("{% comment %}{% raw %}{% endcomment %}{% endraw %}", 1, 1),
    ],
)  # fmt: skip
def test_a_comment_that_is_not_closed_is_an_error(source: str, line: int, column: int) -> None:
    with pytest.raises(TemplateSyntaxError, match="not closed by {% endcomment %}") as caught:
        check(source, html=False)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_an_error_after_a_comment_has_its_position() -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        check("{% comment %}{{ é\n{% endcomment %}\n {{ a | nope }}", html=False)
    assert (caught.value.line, caught.value.column) == (3, 9)


@pytest.mark.parametrize(
    "unit", ["{% raw %}", "{% comment %}", "{% comment", "{% endcomment", "{%", "{% raw", "{{ "]
)
@pytest.mark.parametrize("closes", ["", "{% endcomment %}"])
def test_reading_past_a_comment_takes_time_in_proportion(unit: str, closes: str) -> None:
    began = time.thread_time()
    with suppress(TemplateSyntaxError):
        prepared("{% comment %}" + unit * (256 * 1024 // len(unit)) + closes)
    assert time.thread_time() - began < 1


def test_words_like_it_are_no_comment() -> None:
    assert (
        text("{% assign comment = 'c' %}{{ comment }}{% raw %}{% comment %}{% endraw %}") == "c{% comment %}"
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a {%- if v -%} b {%- endif -%} c", "abc"), ("a {%- unless v -%} {%- else -%} b {%- endunless -%} c", "abc"),
        ("a {%- for i in (1..2) -%} {{ i }} {%- endfor -%} c", "a12c"), ("a {%- assign x = 1 -%} {{- x -}} c", "a1c"),
        ("a {%- capture x -%} b {%- endcapture -%} {{- x -}} c", "abc"),
        ("a {%- comment -%} b {%- endcomment -%} c", "ac"),
        ("a {%- raw %}{{ b }}{% endraw -%} c", "a{{ b }}c"),
        ("a {% raw -%} {{ b }} {%- endraw %} c", "a  {{ b }}  c"),
        ("a {%- raw -%}{{ b }}{%- endraw -%} c", "a{{ b }}c"),
        ("a {%- case v -%} {%- when 'v' -%} b {%- endcase -%} c", "abc"),
        ("a {%- echo v -%} c", "avc"), ("a {%- cycle 'x', 'y' -%} c", "axc"), ("a {%- increment n -%} c", "a0c"),
        ("a {%- # note -%} c", "ac"),
        ("a {%- liquid echo v -%} c", "avc"),
        ("a {%- tablerow i in (1..1) -%} x {%- endtablerow -%} c",
         'a<tr class="row1">\n<td class="col1">x</td></tr>\nc'),
        ("a\r\n {{- v -}} \r\nc", "avc"),
    ],
)  # fmt: skip
def test_dashes_work_in_every_tag(source: str, expected: str) -> None:
    assert text(source, v="v") == expected
