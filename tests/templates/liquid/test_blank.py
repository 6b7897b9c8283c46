"""Nil, false and what is missing are blank, and a condition may ask for what needn't come."""

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as some

from apps.templates.liquid.analysis.variables import missed
from apps.templates.rendering.rendering import RenderError, missing, variables_of
from tests.support.rendering import EmailContent, render_email


def text(source: str, **variables: object) -> str:
    return render_email(EmailContent(subject="", text=source), variables).text


BLANK: list[object] = [None, False, "", " ", "\r\n\t", [], {}]
FULL: list[object] = ["a", " a ", 0, 0.0, True, [None], {"a": None}, "false", 1]


@pytest.mark.parametrize("value", BLANK + FULL)
@pytest.mark.parametrize(
    ("source", "turned"),
    [
        ("{% if v == blank %}b{% endif %}", False), ("{% if blank == v %}b{% endif %}", False),
        ("{% unless v != blank %}b{% endunless %}", False), ("{% if v != blank %}{% else %}b{% endif %}", False),
        ("{% case v %}{% when blank %}b{% endcase %}", False),
        ("{% case v %}{% when 'q', blank %}b{% endcase %}", False),
        ("{% assign e = blank %}{% if v == e %}b{% endif %}", False),
        ("{% if v == blank and blank == blank %}b{% endif %}", False),
        ("{% if v != blank %}b{% endif %}", True), ("{% unless v == blank %}b{% endunless %}", True),
        ("{% if o.v == blank %}b{% endif %}", False),
        ("{% for i in l %}{% if i == blank %}b{% endif %}{% endfor %}", False),
    ],
)  # fmt: skip
def test_what_is_blank(source: str, turned: bool, value: object) -> None:
    expected = "b" if (value in FULL and value is not False) is turned else ""
    assert text(source, v=value, o={"v": value}, l=[value]) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{% if v == blank %}b{% endif %}", "b"), ("{% if o.v.w != blank %}{% else %}b{% endif %}", "b"),
        ("{% if v == nil %}b{% endif %}", "b"), ("{% if v == empty %}b{% endif %}", ""),
        ("{% if v == false %}b{% endif %}", ""),
        ("{% case v %}{% when blank %}b{% endcase %}", "b"), ("{% case v %}{% when nil %}b{% endcase %}", "b"),
        ("{% if v != nil %}b{% endif %}", ""), ("{% if nil == empty %}b{% endif %}", ""),
        ("{% if blank == empty %}b{% endif %}", ""),
        ("{% if false == empty %}b{% endif %}", ""), ("{% if true == 1 %}b{% endif %}", ""),
        ("{% if v == w %}b{% endif %}", "b"),
        ("{% if 5 contains 5 %}b{% endif %}", ""), ("{% if o contains 'v' %}b{% endif %}", ""),
    ],
)  # fmt: skip
def test_what_is_missing_is_blank_and_nil_but_not_empty(source: str, expected: str) -> None:
    assert text(source, o={}) == expected


COUPON = (
    "{% if coupon != blank %}Your code: {{ coupon }}.{% endif %}"
    "{% if name == blank %}Dear customer{% else %}Dear {{ name }}{% endif %}"
)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "Dear customer"), ({"coupon": None, "name": None}, "Dear customer"),
        ({"coupon": "", "name": " "}, "Dear customer"),
        ({"coupon": "X1", "name": "Ann"}, "Your code: X1.Dear Ann"), ({"coupon": False}, "Dear customer"),
    ],
)  # fmt: skip
def test_a_sentence_may_depend_on_what_is_not_sent(variables: dict[str, object], expected: str) -> None:
    assert missing(variables_of(COUPON), variables) == []
    assert text(COUPON, **variables) == expected


@pytest.mark.parametrize(
    ("source", "required"),
    [
        ("{% if a != blank %}{{ a }}{% endif %}", set()), ("{% if a != nil %}{{ a }}{% endif %}", set()),
        ("{% if a == blank %}x{% else %}{{ a }}{% endif %}", set()),
        ("{% unless a == blank %}{{ a }}{% endunless %}", set()),
        ("{% unless a %}x{% else %}{{ a }}{% endunless %}", set()), ("{% unless a %}{{ a }}{% endunless %}", {"a"}),
        ("{% if a == nil %}x{% elsif b %}{{ a }}{{ b }}{% else %}{{ a }}{% endif %}", set()),
        ("{% if a == blank %}{{ a }}{% endif %}", {"a"}), ("{% if a != empty %}{{ a }}{% endif %}", {"a"}),
        ("{% if a == empty %}{{ a }}{% endif %}", set()), ("{% if blank != a %}{{ a }}{% endif %}", set()),
        ("{% if a == 'x' or a == 'y' %}{{ a }}{% endif %}", set()),
        ("{% if a == 'x' or b %}{{ a }}{% endif %}", {"a"}),
        ("{% if a == blank or b == blank %}x{% else %}{{ a }}{{ b }}{% endif %}", set()),
        ("{% if a == blank and b == blank %}x{% else %}{{ a }}{{ b }}{% endif %}", {"a", "b"}),
        ("{% if a.b != blank %}{{ a.b }}{{ a | join }}{% endif %}", set()),
        ("{% if a.size > 0 %}{% for i in a %}{{ i }}{% endfor %}{% endif %}", set()),
        ("{% if a.b %}{{ a.c }}{% endif %}", {"a.c"}), ("{% if a < b %}{{ a }}{{ b }}{% endif %}", set()),
        ("{% if a == b %}{{ a }}{% endif %}", {"a"}), ("{% if a contains b %}{{ a }}{{ b }}{% endif %}", set()),
        ("{% case a %}{% when 'x', 'y' %}{{ a }}{% else %}{% endcase %}", set()),
        ("{% case a %}{% when nil %}{{ a }}{% endcase %}", {"a"}),
        ("{% case a %}{% when blank %}{% else %}{{ a }}{% endcase %}", set()),
        ("{% case a %}{% when 'x' %}{% else %}{{ a }}{% endcase %}", {"a"}),
        ("{% if a == blank %}x{% endif %}{{ a }}", {"a"}), ("{% if a == false %}{{ a }}{% endif %}", set()),
        ("{% unless a != 'x' %}{{ a }}{% endunless %}", set()),
    ],
)  # fmt: skip
def test_what_a_condition_found_there_needs_not_come(source: str, required: set[str]) -> None:
    assert variables_of(source).required == required


PATHS = some.sampled_from(["a", "a", "a", "b", "o", "o", "o.x", "o.x", "o.p", "o.p.x", "l.size", "l[0].x"])
TERMS = some.one_of(
    PATHS,
    some.builds(
        "{} {} {}".format,
        PATHS,
        some.sampled_from(["==", "!="]),
        some.sampled_from(["blank", "nil", "empty", "'x'", "1", "true", "false"]),
    ),
    some.builds(
        "{} {} {}".format, some.sampled_from(["blank", "nil", "'x'"]), some.sampled_from(["==", "!="]), PATHS
    ),
    some.builds(
        "{} {} {}".format,
        PATHS,
        some.sampled_from([">", "<=", "contains", "=="]),
        PATHS | some.just("1") | some.just("'x'"),
    ),
)
CONDITIONS = some.recursive(
    TERMS,
    lambda inner: some.builds("{} {} {}".format, inner, some.sampled_from(["and", "or"]), inner),
    max_leaves=4,
)
SHOWN = some.builds("{{{{ {} }}}}".format, PATHS) | some.sampled_from(["x", "{{ o.x | default: a }}"])
BODIES = some.recursive(
    SHOWN,
    lambda inner: some.one_of(
        some.builds("{}{}".format, inner, inner),
        some.builds("{{% if {} %}}{}{{% else %}}{}{{% endif %}}".format, CONDITIONS, inner, inner),
        some.builds(
            "{{% if {} %}}{}{{% elsif {} %}}{}{{% else %}}{}{{% endif %}}".format,
            CONDITIONS,
            inner,
            CONDITIONS,
            inner,
            inner,
        ),
        some.builds("{{% unless {} %}}{}{{% else %}}{}{{% endunless %}}".format, CONDITIONS, inner, inner),
        some.builds(
            "{{% case {} %}}{{% when {} %}}{}{{% else %}}{}{{% endcase %}}".format,
            PATHS,
            some.sampled_from(["blank", "nil", "'x'", "1, nil"]),
            inner,
            inner,
        ),
        some.builds("{{% for i in {} %}}{}{{% endfor %}}".format, PATHS, inner),
    ),
    max_leaves=6,
)
VALUES = some.sampled_from([None, False, True, "", "x", 1, "y", []])
OBJECTS = some.fixed_dictionaries(
    {}, optional={"x": VALUES, "p": VALUES | some.fixed_dictionaries({}, optional={"x": VALUES})}
)


@given(
    source=BODIES,
    all_of_them=some.fixed_dictionaries(
        {
            "a": VALUES,
            "b": VALUES,
            "o": OBJECTS | VALUES | OBJECTS,
            "l": some.lists(VALUES | some.fixed_dictionaries({"x": VALUES}), max_size=2),
        }
    ),
    left_out=some.sets(some.sampled_from(["a", "b", "o.x", "o.p", "o.p.x", "o", "l"]))
    | some.just({"a", "b", "o", "l"}),
)
@examples(max_examples=1000)
def test_no_rendering_misses_what_was_not_required(source, all_of_them, left_out) -> None:
    use = variables_of(source)
    for name in left_out:
        *above, last = name.split(".")
        at = all_of_them
        for segment in above:
            at = at.get(segment) if isinstance(at, dict) else None
        if isinstance(at, dict) and not any(
            one == name or one.startswith(f"{name}.") for one in use.required
        ):
            at.pop(last, None)
    if missing(use, all_of_them):
        return
    message = name = ""
    try:
        text(source, **all_of_them)
    except RenderError as error:
        # Values of kinds that can't be compared are another matter.
        message, name = str(error), error.missing
    # Whether a rendering comes to a field of an object that is given, no list knows: acceptance renders, and refuses.
    assert "missing" not in message or missed(use.optional, all_of_them, name)
