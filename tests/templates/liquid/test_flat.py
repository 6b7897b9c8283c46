"""The fast path without the engine gives what the engine would give."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.templates.liquid.engine import parse
from apps.templates.liquid.limits import OUTPUT_LIMIT
from apps.templates.rendering.rendering import RenderError
from tests.support.rendering import EmailContent, render_email

NAMES = ("name", "order", "person.first_name", "a.b.c", "now", "size", "order.size", "list")
TEXTS = st.text(max_size=20)
VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)
PARTS = st.lists(
    st.sampled_from([f"{{{{ {name} }}}}" for name in NAMES] + ["{{name}}", "{{- name -}}"])
    | TEXTS.filter(lambda text: "{" not in text and "\0" not in text),
    max_size=8,
)
VARIABLES = st.fixed_dictionaries(
    {},
    optional={
        "name": VALUES,
        "order": VALUES,
        "person": VALUES | st.fixed_dictionaries({"first_name": VALUES}),
        "a": st.fixed_dictionaries({"b": st.fixed_dictionaries({"c": VALUES})}),
        "list": st.lists(VALUES, max_size=3),
        "size": TEXTS,
    },
)


@pytest.mark.parametrize("html", [True, False])
@given(parts=PARTS, variables=VARIABLES)
def test_it_gives_what_the_engine_gives_or_nothing(html, parts, variables):
    template = parse("".join(parts), html)
    filled = template.flat.fill(variables) if template.flat else None
    if filled is not None:
        assert filled == template.render(variables)
        assert type(filled) is str


@pytest.mark.parametrize(
    ("source", "flat"),
    [
        ("Hello {{ name }}, order {{ order.number }}.", True),
        ("words alone", True),
        ("", True),
        ("{{ name | upcase }}", False),
        ("{{ name | default: 'you' }}", False),
        ("{% if name %}{{ name }}{% endif %}", False),
        ("{{ names[0] }}", False),
        ("{{ names.size }}", False),
        ("{{ 'name' }}", False),
    ],
)
def test_only_the_plainest_are(source, flat):
    assert (parse(source, True).flat is not None) == flat


def test_a_variable_is_escaped_in_html_alone():
    variables = {"name": "<b>&'\""}
    assert parse("<i>{{ name }}</i>", True).flat.fill(variables) == "<i>&lt;b&gt;&amp;&#39;&#34;</i>"
    assert parse("<i>{{ name }}</i>", False).flat.fill(variables) == "<i><b>&'\"</i>"


@pytest.mark.parametrize(
    "variables", [{}, {"name": None}, {"name": True}, {"name": 1.5}, {"name": {}}, {"name": "\ud800"}]
)
def test_what_is_unusual_is_the_engines(variables):
    assert parse("{{ name }}", False).flat.fill(variables) is None


def test_what_is_missing_is_still_an_error():
    with pytest.raises(RenderError, match="name is missing"):
        render_email(EmailContent(subject="{{ name }}"), {})


def test_a_long_output_is_still_an_error():
    source = EmailContent(subject="x", text="{{ a }}{{ a }}" * 200)
    with pytest.raises(RenderError, match="limit"):
        render_email(source, {"a": "x" * (OUTPUT_LIMIT // 200)})
