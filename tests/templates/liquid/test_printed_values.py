"""How values print: nil as an empty text, true and false as words."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as some

from apps.templates.liquid.filters.registry import TEXTS
from apps.templates.rendering.rendering import RenderError
from tests.support.rendering import EmailContent, render_email


def text(source: str, **variables: object) -> str:
    return render_email(EmailContent(subject="", text=source), variables).text


def as_html(source: str, **variables: object) -> str:
    return render_email(EmailContent(subject="", html=source), variables).html


LIST = ["a", None, True, 2.5]
NIL = [
    ("{{ 'Ms' | append: n }}", "Ms"), ("{{ 'Ms' | prepend: n }}", "Ms"), ("{{ n | append: 'Ms' }}", "Ms"),
    ("{{ l | join: ', ' }}", "a, , true, 2.5"), ("{{ l | join: n }}", "atrue2.5"), ("{{ l }}", "atrue2.5"),
    ("{{ n | join: ', ' }}", ""), ("{{ n | map: 'a' | join }}", ""), ("{{ n | sort | size }}", "0"),
    ("{{ n | reverse | join }}", ""), ("{{ n | concat: l | size }}", "4"), ("{{ n | uniq | size }}", "0"),
    ("{{ n | compact | size }}", "0"), ("{{ n | where: 'a' | size }}", "0"), ("{{ n | sum }}", "0"),
    ("{{ n | upcase }}", ""), ("{{ n | escape }}", ""), ("{{ n | strip_html }}", ""), ("{{ n | size }}", "0"),
    ("{{ n | truncate: 3 }}", ""), ("{{ 'abcdef' | truncate: 3, n }}", "abc"), ("{{ n | slice: 0, 2 }}", ""),
    ("{{ 'None' | replace: n, '' }}", "None"), ("{{ 'aXb' | replace: 'X', n }}", "ab"),
    ("{{ 'aXb' | remove: n }}", "aXb"), ("{{ n | split: ',' | size }}", "0"), ("{{ n | url_encode }}", ""),
    ("{{ n | plus: 1 }}", "1"), ("{{ 1 | plus: n }}", "1"), ("{{ n | round }}", "0"), ("{{ n | first }}", ""),
    ("{{ n | date: '%Y' }}", ""), ("{{ n | newline_to_br }}", ""), ("{% echo n %}", ""),
    ("{% cycle n, 'a' %}", ""), ("{% capture c %}{{ n }}{% endcapture %}[{{ c }}]", "[]"),
    ("{% assign c = n %}[{{ c }}]", "[]"), ("{{ l[1] }}", ""),
    ("{% for i in l %}[{{ i }}]{% endfor %}", "[a][][true][2.5]"),
    ("{{ items | map: 'name' | join: '-' }}", "x-"), ("{{ items | map: 'name' | compact | size }}", "1"),
    ("{{ items | compact: 'name' | size }}", "1"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), NIL)
def test_nil_prints_nothing(source: str, expected: str) -> None:
    items = [{"name": "x"}, {}]
    assert text(source, n=None, l=LIST, items=items) == expected
    assert as_html(source, n=None, l=LIST, items=items) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ yes }} {{ no }}", "true false"), ("{{ yes | append: '!' }}", "true!"),
        ("{{ 'a' | append: no }}", "afalse"),
        ("{{ 'a' | prepend: yes }}", "truea"), ("{{ yes | upcase }}", "TRUE"), ("{{ no | capitalize }}", "False"),
        ("{{ both | join: '/' }}", "true/false"), ("{{ both }}", "truefalse"), ("{{ yes | slice: 0, 2 }}", "tr"),
        ("{{ 'true' | remove: yes }}", ""), ("{{ 'x' | replace: 'x', no }}", "false"), ("{{ yes | size }}", "0"),
        ("{{ yes | split: 'u' | join: '-' }}", "tr-e"), ("{{ yes | truncate: 3, '' }}", "tru"),
        ("{{ yes | url_encode }}", "true"),
        ("{{ both | sort_natural | join }}", "false true"), ("{% if 'is true' contains yes %}y{% endif %}", "y"),
        ("{% if both contains yes %}y{% endif %}{% if ones contains yes %}n{% endif %}", "y"),
        ("{% echo yes %}", "true"), ("{% cycle yes, no %}", "true"), ("{{ yes | plus: 1 }}", "1"),
        ("{{ 2 | times: yes }}", "0"),
        ("{{ yes | date: '%Y' }}", "true"), ("{{ 'x' | default: no }}", "x"),
        ("{{ nothing | default: yes }}", "true"),
    ],
)  # fmt: skip
def test_true_and_false_are_words(source: str, expected: str) -> None:
    given_ = {"yes": True, "no": False, "both": [True, False], "ones": [1, 0]}
    assert text(source, **given_) == expected
    assert as_html(source, **given_) == expected


SAMPLE_TEXTS = some.text("abc ,'-", max_size=6)
ONE = some.sampled_from(TEXTS.split())


@given(
    name=ONE,
    value=some.none() | some.booleans(),
    others=some.lists(SAMPLE_TEXTS | some.none() | some.booleans(), max_size=2),
)
@examples(max_examples=300)
def test_any_filter_of_texts_takes_nil_and_booleans_for_their_words(name, value, others) -> None:
    def printed(*values: object) -> str:
        names = [f"a{number}" for number in range(len(values))]
        source = f"{{{{ a0 | {name}{': ' if names[1:] else ''}{', '.join(names[1:])} }}}}"
        try:
            return text(source, **dict(zip(names, values, strict=True)))
        except RenderError as error:
            return str(error)

    texts = {None: "", True: "true", False: "false"}
    plain = [texts[one] if one is None or isinstance(one, bool) else one for one in (value, *others)]
    assert printed(value, *others) == printed(*plain)


JSON = some.recursive(
    some.none() | some.booleans() | some.integers(-9, 9) | some.text("abc", max_size=3),
    lambda inner: (
        some.lists(inner, max_size=3) | some.dictionaries(some.sampled_from("abc"), inner, max_size=2)
    ),
    max_leaves=6,
)
FILTERS = [
    "append: v",
    "join: ', '",
    "prepend: 'x'",
    "upcase | downcase",
    "default: v",
    "sort_natural: 'a' | join",
    "first",
    "strip",
]


@given(value=JSON, used=some.sampled_from(["", *(f" | {one}" for one in FILTERS)]))
def test_no_value_is_printed_in_our_programming_language(value, used) -> None:
    printed = text(f"{{{{ v{used} }}}}", v=value)
    assert not {"None", "True", "False"} & set(
        printed.replace("[", " ").replace("]", " ").replace(",", " ").split()
    )
    assert "'" not in printed
    assert "Undefined" not in printed


@pytest.mark.parametrize(
    "value",
    [
        {}, {"a": 1}, {"first": "Ann", "last": None}, {"on": True}, {"l": [1, None, "x"]}, {"o": {"p": 2.5}},
        {"q": 'say "hi"'}, {"é": "ü"}, {"line": "a\nb"}, {"deep": [[{"x": []}]]},
    ],
)  # fmt: skip
def test_an_object_prints_as_json(value: object) -> None:
    printed = text("{{ v }}", v=value)
    assert json.loads(printed) == value
    assert text(
        "{% echo v %}|{{ v | append: '' }}|{{ l | join: '' }}|{% cycle v %}", v=value, l=[value]
    ) == "|".join([printed] * 4)
    escaped = as_html("{{ v }}", v=value)
    assert "<" not in escaped
    assert '"' not in escaped


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2.5, "2.5"), (2.0, "2.0"), (-0.5, "-0.5"), (1e15, "1000000000000000.0"), (1e20, "1.0e+20"),
        (1.5e-7, "1.5e-07"),
        (-1e22, "-1.0e+22"), (0.1, "0.1"), (100, "100"), ([1.0, [2, [None, "x"]]], "1.02x"), ([], ""),
    ],
)  # fmt: skip
def test_numbers_and_lists_print_as_liquids(value: object, expected: str) -> None:
    assert text("{{ v }}", v=value) == expected


def test_a_range_prints_its_ends() -> None:
    assert text("{{ (1..3) }} {{ (1..3) | join: '-' }}") == "1..3 1-2-3"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a\r\nb", "a\r\nb"), ("\r\n", "\r\n"), ("a\rb", "a\rb"), ("\n\r\n\r", "\n\r\n\r"),
        ("<p>\r\n</p>", "<p>\r\n</p>"),
        ("{{ v }}\r\n", "v\r\n"), ("{% if v %}\r\nx\r\n{% endif %}", "\r\nx\r\n"),
        ("{% capture c %}x\r\n{% endcapture %}{{ c }}", "x\r\n"), ("{{ v | append: '\r\n' }}", "v\r\n"),
        ("{% for i in (1..2) %}x\r\n{% endfor %}", "x\r\nx\r\n"), ("{{ v }}{{ w }}", "v\r\n"),
        ("a\r\n{%- if v -%}\r\nb\r\n{%- endif %}\r\n", "ab\r\n"), ("{{ w | newline_to_br }}", "<br />\n"),
    ],
)  # fmt: skip
def test_lines_end_as_they_do_in_the_source(source: str, expected: str) -> None:
    assert text(source, v="v", w="\r\n") == expected
    assert as_html(source, v="v", w="\r\n") == expected


@given(some.text("ab\r\n <>", max_size=30), some.booleans())
def test_any_text_comes_out_as_it_is(source: str, plain: bool) -> None:
    # An engine's tag keeps the other way of filling in from being taken.
    assert text(source + ("" if plain else "{% assign x = 1 %}")) == source
