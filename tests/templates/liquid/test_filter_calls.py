"""A filter call that would fail at every rendering is refused when the source is saved, with its position."""

import pytest

from apps.templates.liquid.engine import _TEXT
from apps.templates.rendering.rendering import RenderError, TemplateSyntaxError, check
from tests.support.rendering import EmailContent, render_email
from tests.templates.liquid.test_printed_values import text


@pytest.mark.parametrize(
    ("source", "column", "message"),
    [
        ("{{ d | date: format: 'x' }}", 8, "date has no argument named 'format'"),
        ("{{ d | date }}", 8, "date takes 1 argument, not 0"),
        ("{{ d | date: 'a', 'b' }}", 8, "date takes 1 argument, not 2"),
        ("{{ x | append }}", 8, "append takes 1 argument, not 0"),
        ("{{ x | upcase: 1 }}", 8, "upcase takes 0 arguments, not 1"),
        ("{{ x | round: 1, 2 }}", 8, "round takes 0 to 1 arguments, not 2"),
        ("{{ x | truncate: 5, '', 3 }}", 8, "truncate takes 0 to 2 arguments, not 3"),
        ("{{ x | where }}", 8, "where takes 1 to 2 arguments"),
        ("{% assign y = x | map %}", 19, "map takes 1 argument"),
        ("{% echo x | split %}", 13, "split takes 1 argument"),
        ("{% for i in x %}{{ i | plus }}{% endfor %}", 24, "plus takes 1 argument"),
        ("{% if a %}{{ x | replace }}{% endif %}", 18, "replace takes 1 to 2"),
        ("{{ x | default: 'a', allow_nil: true }}", 8, "named 'allow_nil'"),
        ("{{ x | join: environment: 1 }}", 8, "named 'environment'"),
        ("{{ x | sort | slice }}", 15, "slice takes 1 to 2"),
        ("{% liquid\n echo x | append\n%}", 11, "append takes 1 argument"),
        ("{{ x | divided_by: 0 }}", 8, "divided_by can't work"), ("{{ x | modulo: 0.0 }}", 8, "modulo can't work"),
        ("{{ x | slice: 'a' }}", 8, "slice can't work"), ("{{ x | truncate: 'a' }}", 8, "truncate can't work"),
        ("{{ x | concat: 'a' }}", 8, "concat can't work"),
        ("{{ 'a' | base64_decode }}", 10, "base64_decode can't work"),
        ("{{ 'a' | upcase | base64_decode }}", 19, "base64_decode can't work"),
        ("{{ x | append: 'a' | divided_by: 0 }}", 22, "divided_by can't work"),
    ],
)  # fmt: skip
def test_what_fails_at_every_rendering_is_refused(source: str, column: int, message: str) -> None:
    for html in (True, False):
        with pytest.raises(TemplateSyntaxError) as caught:
            check(source, html=html)
        assert message in caught.value.message
        assert caught.value.column == column
    for value in (None, "", "a", "4", 4, 4.5, True, ["a"], [1, 2], [{"a": 1}], {"a": 1}):
        with pytest.raises(RenderError):
            text(source, x=[value] if "for" in source else value, d=value, a=True)


@pytest.mark.parametrize(
    "source",
    [
        "{{ x | default: 'a', allow_false: true }}", "{{ x | default }}", "{{ x | join }}", "{{ x | join: ', ' }}",
        "{{ x | truncate: 5, '' }}", "{{ x | truncatewords }}", "{{ x | base64_decode }}", "{{ x | divided_by: y }}",
        "{{ x | divided_by: 0.5 }}", "{{ x | slice: y }}", "{{ x | slice: '1' }}", "{{ x | concat: y }}",
        "{{ x | where: 'a', 1 }}",
        "{{ x | sort: 'a' | map: 'b' | join: ',' | append: '.' }}", "{{ x | round: 2 | times: 1.5 }}",
        "{{ x | date: y }}",
        "{{ 'a,b' | split: ',' | first | upcase }}", "{{ '2026-01-01' | date: '%Y' | plus: 1 }}",
        "{{ x | uniq | sum }}",
        "{{ x | replace: 'a', '' }}", "{{ x | url_decode }}", "{{ x | sort_natural }}", "{{ x | find: 'a', 1 }}",
        "{{ x | compact }}",
        "{{ x | truncate: num: 5 }}",
    ],
)  # fmt: skip
def test_what_may_work_is_not_refused(source: str) -> None:
    check(source, html=True)
    check(source, html=False)


@pytest.mark.parametrize("name", sorted(_TEXT.filters))
def test_of_every_filter_too_many_arguments_are_refused(name: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=f"the filter {name} takes"):
        check(f"{{{{ x | {name}: 1, 2, 3, 4 }}}}", html=False)


def test_a_version_saved_before_renders_as_it_did() -> None:
    source = EmailContent(subject="", text="Hello{% if never %}{{ d | date: format: 'x' }}{% endif %}!")
    assert render_email(source, {}).text == "Hello!"
