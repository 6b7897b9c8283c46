"""No filter costs more than in proportion to what it is given, whatever that is."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as some

from apps.templates.liquid.engine import _HTML
from apps.templates.rendering.rendering import RenderError
from tests.support.rendering import EmailContent, render_email

SIZE = 64 * 1024
BOUND = 1.0
"""Seconds of this thread's CPU time: many times what the dearest takes, a tenth of what a quadratic one does."""
UNITS = [
    "a", "<a ", "<", "<!--", "</", "<script", "<style>", "<![CDATA[", '<a b="', "<a b='", "<?", "&", "&#9", "&lt;",
    "%", "%2", "\n", "\r\n", " ", "\t", "9", "-", ".", "1e", ",", "ab ", "\u0130", "\u00e9", "\U0001f600",
    "'", '"', "\\", "=", "/*", "{{", "a" * 50 + "b",
]  # fmt: skip
NUMBERS = ["1e999999", "9" * 4000, "-1e-99999", "nan", "inf", 10**29, -(10**29), 1e308, 0, True]


def filled(unit):
    return (unit * (SIZE // len(unit) + 1))[:SIZE]


texts = some.sampled_from(UNITS).map(filled)
enclosed = some.tuples(
    some.sampled_from(["", ">", "<", "<b>", "<!--"]), texts, some.sampled_from(["", ">", "-->"])
)
items = some.sampled_from(
    ["a" * 20, ["a"], {"a": 1}, 1, "1", [1], "1e9999", None, 1e308, "9" * 400, [[[[["a"]]]]]]
).map(lambda item: [item] * (SIZE // (8 + len(str(item)))))
values = some.one_of(enclosed.map("".join), items, some.sampled_from(NUMBERS))
arguments = some.lists(some.one_of(values, some.sampled_from(["a", "", "<", 10**29, 1])), max_size=2)


@pytest.mark.parametrize("name", sorted(_HTML.filters))
@given(value=values, given_too=arguments, html=some.booleans())
@examples(max_examples=60)
def test_of_any_filter(name, value, given_too, html):
    names = [f"a{number}" for number in range(len(given_too))]
    source = f"{{% assign x = v | {name}{': ' if names else ''}{', '.join(names)} %}}"
    content = EmailContent(subject="", html=source) if html else EmailContent(subject="", text=source)
    began = time.thread_time()
    # Refused by name is as good as done.
    with suppress(RenderError):
        render_email(content, {"v": value, **dict(zip(names, given_too, strict=True))})
    assert time.thread_time() - began < BOUND


@pytest.mark.parametrize("before", ["", ">", "<b>x</b>"])
@pytest.mark.parametrize("unit", ["<a ", "<script", "<!--", "<style>", "</", "<"])
def test_strip_html_is_linear(unit, before):
    began = time.thread_time()
    render_email(
        EmailContent(subject="", text="{{ v | strip_html }}"), {"v": before + unit * (45_000 // len(unit))}
    )
    assert time.thread_time() - began < BOUND


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("<p>One <b>two</b></p>", "One two"),
        ("a <script>alert('<b>')</script>b", "a b"),
        ("a<style>p { color: red }</style>b", "ab"),
        ("a<!-- > not <b>this</b> -->b", "ab"),
        ("1 < 2", "1 < 2"),
        ("a <b", "a <b"),
        ("<SCRIPT>x</sCript >y</script>z", "z"),
        ("\u0130<b>x</b>", "\u0130x"),
        ("&lt;b&gt; &amp; <i>c", "&lt;b&gt; &amp; c"),
        ("<script>never closed", "never closed"),
        ("line\n<br\n/>line", "line\nline"),
        ("", ""),
    ],
)
def test_strip_html_takes_tags_and_nothing_else(given, left):
    assert render_email(EmailContent(subject="", text="{{ v | strip_html }}"), {"v": given}).text == left


def test_a_propertys_name_is_short():
    with pytest.raises(RenderError, match="200 characters"):
        render_email(EmailContent(subject="", text="{{ v | map: k }}"), {"v": [{"a": 1}], "k": ["a"] * 30})
