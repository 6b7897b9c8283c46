"""Which variables a template requires, and which are optional."""

import pytest

from apps.templates.rendering.rendering import (
    EmailContent,
    RenderError,
    TemplateSyntaxError,
    missing,
    render_email,
    variables_of,
)


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
        ("{% if a %}{{ a }}{{ a.b }}{{ c }}{% endif %}", {"c"}, {"a", "a.b"}),
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
