"""Which variables a template requires, and which are optional."""

import pytest

from apps.templates.liquid.analysis.variables import missed
from apps.templates.rendering.rendering import (
    RenderError,
    TemplateSyntaxError,
    VariableUse,
    missing,
    variables_of,
)
from tests.support.rendering import EmailContent, render_email


@pytest.mark.parametrize(
    ("source", "required", "optional"),
    [
        ("{{ name }} {{ order.id }} {{ items[0].price }}", {"name", "order.id", "items.0.price"}, set()),
        ("{{ a | default: 'x' }}{% if b %}{% endif %}", set(), {"a", "b"}),
        ("{% unless c.d %}{% endunless %}", set(), {"c.d"}),
        ("{{ a | default: b }}", {"b"}, {"a"}),
        ("{{ a | upcase | default: 'x' }}{{ 'x' | append: e }}", {"a", "e"}, set()),
        ("{% for i in l %}{{ i.name }}{{ forloop.index }}{{ o }}{% endfor %}{{ i }}", {"l", "o", "i"}, set()),
        ("{% assign x = y %}{{ x }}{% capture z %}{{ x }}{% endcapture %}{{ z }}", {"y"}, set()),
        ("{{ x }}{% assign x = 1 %}", {"x"}, set()),
        ("{% if a %}{{ a }}{{ a.b }}{{ c }}{% endif %}", {"c"}, {"a", "a?.b"}),
        ("{% if nil != a %}{{ a.b }}{% else %}{{ c }}{% endif %}", {"c"}, {"a", "a?.b"}),
        ("{% if a == nil %}x{% else %}{{ a.b }}{% endif %}", set(), {"a", "a?.b"}),
        ("{% unless a %}x{% else %}{{ a.b.c }}{% endunless %}", set(), {"a", "a?.b.c"}),
        ("{% case a %}{% when blank %}x{% else %}{{ a.b }}{% endcase %}", set(), {"a", "a?.b"}),
        ("{% if a %}{% if a.b %}{{ a.c }}{{ a.b.d }}{% endif %}{% endif %}", set(), {"a", "a.b", "a?.c", "a.b?.d"}),
        ("{% if a.b %}{{ a.b.c }}{% endif %}{% if a %}{{ a.b.c }}{% endif %}", set(), {"a", "a.b", "a?.b.c"}),
        ("{% if a %}{{ a.b }}{% endif %}{% if a.b %}{{ a.b }}{% endif %}", set(), {"a", "a?.b"}),
        ("{% if a %}{{ a.b }}{% endif %}{{ a.b }}", {"a.b"}, {"a"}),
        ("{% if a %}{{ a.b | default: 'x' }}{% if a.c %}x{% endif %}{% endif %}", set(), {"a", "a.b", "a.c"}),
        ("{% if a %}{% for i in a.l %}{{ i.x }}{% endfor %}{% endif %}", set(), {"a", "a?.l"}),
        ("{% if l %}{{ l[0].x }}{{ l.size }}{% endif %}", set(), {"l", "l?.0.x", "l?.size"}),
        ("{{ a?.b }}{{ c['d?'].e }}{{ f? }}", {"a?", "c.d?", "f?"}, set()),
        ("{% if a %}x{% elsif b.c == 'q' %}{{ b.c }}{{ a }}{% endif %}", {"a"}, {"b.c"}),
        ("{% if a %}x{% elsif b.c == 'q' %}y{% else %}{{ b.c }}{% endif %}", {"b.c"}, {"a"}),
        ("{% if a and b > 3 %}{{ a }}{{ b }}{% endif %}", set(), {"a", "b"}),
        ("{% if a or b %}{{ a }}{% endif %}", {"a"}, {"b"}),
        ("{% if a != 'x' %}{{ a }}{% endif %}", {"a"}, set()),
        ("{% if ab %}{{ a }}{% endif %}", {"a"}, {"ab"}),
        ("{% case plan %}{% when tier %}{{ x }}{% endcase %}", {"x"}, {"plan", "tier"}),
        ("{% if a %}{% endif %}{{ a }}", {"a"}, set()),
        ("{{ table[key].name }}{{ now | date: '%Y' }}{% increment n %}{{ n }}", {"table", "key"}, set()),
        ("{{ a['b.c'] }}{{ a['d'] }}", {"a", "a.d"}, set()),
        ("{% for i in (1..n) limit: m %}{{ i }}{% endfor %}", {"n", "m"}, set()),
        ("{% tablerow t in rows %}{{ t }}{{ tablerowloop.col }}{% endtablerow %}", {"rows"}, set()),
        ("{% liquid\n assign q = w\n if v\n echo q\n endif %}", {"w"}, {"v"}),
        ("plain", set(), set()),
    ],
)  # fmt: skip
def test_variables_are_found_without_rendering(source: str, required: set[str], optional: set[str]) -> None:
    use = variables_of(source)
    assert (set(use.required), set(use.optional)) == (required, optional)


def test_required_in_one_source_is_required_in_all() -> None:
    use = variables_of("{{ a | default: 'x' }}", "{{ a }}", "{{ b | default: 1 }}")
    assert (set(use.required), set(use.optional)) == ({"a"}, {"b"})
    with pytest.raises(TemplateSyntaxError):
        variables_of("fine", "{{ broken")


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (("{% if a %}{{ a.b }}{% endif %}", "{{ a.b }}"), ({"a.b"}, {"a"})),
        (("{% if a.b %}{{ a.b.c }}{% endif %}", "{% if a %}{{ a.b.c }}{% endif %}"), (set(), {"a", "a.b", "a?.b.c"})),
    ],
)  # fmt: skip
def test_of_several_sources_the_one_that_needs_most_counts(
    sources: tuple[str, ...], expected: tuple[set[str], set[str]]
) -> None:
    for order in (sources, sources[::-1]):
        use = variables_of(*order)
        assert (set(use.required), set(use.optional)) == expected
        assert VariableUse.of(use.needs.items()) == use


FIELDS = "{% if order %}{% if order.gift %}{{ order.note }}{% endif %}{{ order.lines[1].price }}{% endif %}"


@pytest.mark.parametrize(
    ("order", "fields"),
    [
        ({"gift": True, "lines": [{}, {"price": 1}]}, [("order.note", "order")]),
        ({"gift": True, "note": None, "lines": [{}]}, [("order.lines.1.price", "order")]),
        ({}, [("order.lines.1.price", "order")]), ("a text", [("order.lines.1.price", "order")]),
        ({"gift": False, "lines": [{}, {"price": 1}]}, []), (None, []), (False, []),
    ],
)  # fmt: skip
def test_a_field_is_missed_only_where_its_object_is_given_and_it_is_come_to(
    order: object, fields: list[tuple[str, str]]
) -> None:
    use, variables = variables_of(FIELDS), {"order": order}
    assert missing(use, variables) == missing(use, {}) == []
    name = ""
    try:
        render_email(EmailContent("", text=FIELDS), variables)
    except RenderError as error:
        name = error.missing
    assert missed(use.optional, variables, name) == fields


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("{{ a }}", "a"), ("{{ o.b.c }}", "o.b"), ("{{ o['b'] | upcase }}", "o.b"), ("{{ o['x y'].c }}", "o.x y"),
        ("{% assign x = o.b %}", "o.b"), ("{{ l[0].b }}", "l.b"), ("{{ l[7].b }}", "l"),
        ("{% for i in o.b %}{% endfor %}", "o.b"), ("{{ 1 | divided_by: o.n }}", ""), ("{{ 1 | divided_by: l }}", ""),
    ],
)  # fmt: skip
def test_an_error_of_rendering_names_the_variable_that_was_missing(source: str, name: str) -> None:
    with pytest.raises(RenderError) as caught:
        render_email(EmailContent("", text=source), {"o": {"n": 0}, "l": [{}]})
    assert caught.value.missing == name


def test_what_is_missing_is_what_rendering_would_miss() -> None:
    source = "{{ a }}{{ o.id }}{{ l.size }}{{ l.first.x }}{{ l[1].y }}{{ n }}{{ s.size }}{{ o.size }}"
    use = variables_of(source)
    full = {"a": False, "o": {"id": 0}, "l": [{"x": 1}, {"y": None}], "n": None, "s": "abc"}
    assert missing(use, full) == []
    render_email(EmailContent("", text=source), full)
    assert missing(use, {"o": None, "l": []}) == ["a", "l.1.y", "l.first.x", "n", "o.id", "o.size", "s.size"]
    for name in ("a", "o", "l", "n", "s"):
        lacking = {key: value for key, value in full.items() if key != name}
        assert missing(use, lacking)
        with pytest.raises(RenderError, match="missing"):
            render_email(EmailContent("", text=source), lacking)
