"""Filters that look for something: in items that may be nil or lack it, where 1 is not true, and in texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from apps.templates.rendering.rendering import RenderError
from tests.support.rendering import EmailContent, render_email


def text(source: str, **variables: object) -> str:
    return render_email(EmailContent(subject="", text=source), variables).text


ROWS = [
    None,
    {"n": "a", "on": True},
    {"n": "b", "on": 1},
    {"n": "c"},
    {"n": "d", "on": False},
    {"n": "e", "on": None},
]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ rows | where: 'on', true | map: 'n' | join }}", "a"),
        ("{{ rows | where: 'on', 1 | map: 'n' | join }}", "b"),
        ("{{ rows | where: 'on' | map: 'n' | join }}", "a b"),
        ("{{ rows | where: 'on', false | map: 'n' | join }}", "d"),
        ("{{ rows | reject: 'on' | compact | map: 'n' | join }}", "c d e"),
        ("{{ rows | reject: 'on', true | size }}", "5"),
        ("{% assign r = rows | find: 'on', true %}{{ r.n }}", "a"), ("{{ rows | find_index: 'n', 'c' }}", "3"),
        ("{{ rows | has: 'n', 'e' }} {{ rows | has: 'n', 'z' }}", "true false"),
        ("{{ rows | has: 'on', nothing }}", "true"),
        ("{{ rows | map: 'n' | join: ',' }}", ",a,b,c,d,e"), ("{{ rows | sum: 'on' }}", "1"),
        ("{{ mixed | sum }}", "5.5"),
        ("{{ mixed | uniq | join: ',' }}", "1,true,,2.5,1"), ("{{ rows | uniq: 'on' | size }}", "4"),
        ("{{ rows | compact: 'on' | size }}", "3"),
        ("{{ nothing | where: 'on' | size }}", "0"), ("{{ nothing | find: 'on' }}", ""),
        ("{{ nothing | has: 'on' }}", "false"),
        ("{{ words | where: 'a' | join }}", "cat"), ("{{ words | uniq | size }}", "2"),
    ],
)  # fmt: skip
def test_items_that_lack_it_are_no_error(source: str, expected: str) -> None:
    variables = {
        "rows": ROWS,
        "nothing": None,
        "mixed": [1, True, None, 2.5, "1", 1],
        "words": ["cat", "dog", "dog"],
    }
    assert text(source, **variables) == expected


@pytest.mark.parametrize(
    "used", ["where: 'a'", "find: 'a'", "has: 'a'", "reject: 'a'", "map: 'a'", "sum: 'a'", "uniq: 'a'"]
)
def test_a_number_has_no_properties(used: str) -> None:
    with pytest.raises(RenderError, match="can't work"):
        text(f"{{{{ v | {used} }}}}", v=[1, 2])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ 'a,b,,' | split: ',' | size }}", "2"), ("{{ ',a,,b' | split: ',' | join: '-' }}", "-a--b"),
        ("{{ ',,' | split: ',' | size }}", "0"),
        ("{{ '' | split: ',' | size }}", "0"), ("{{ ' a  b ' | split: ' ' | join: '-' }}", "a-b"),
        ("{{ 'abc' | split: '' | join: '-' }}", "a-b-c"),
        ("{{ 'abc' | split: nil | size }}", "3"), ("{{ 'ab' | replace_last: 'a', 'z' }}", "zb"),
        ("{{ 'abab' | replace_last: 'ab', 'z' }}", "abz"),
        ("{{ 'ab' | replace_last: 'q', 'z' }}", "ab"), ("{{ 'ab' | replace_last: '', 'z' }}", "abz"),
        ("{{ 'ab' | remove_last: 'a' }}", "b"),
        ("{{ 'abab' | remove_last: 'b' }}", "aba"), ("{{ 'ab' | remove_last: 'q' }}", "ab"),
        ('{{ "it\'s" | escape }}', "it&#39;s"),
        ("{{ 'abcdef' | truncate: 5 }}", "ab..."), ("{{ 'abcdef' | truncate: 2 }}", "..."),
        ("{{ 'ab' | truncate: 2 }}", "ab"),
        ("{{ 'abcdef' | truncate: 0, '' }}", ""), ("{{ 'abcdef' | truncate: -1 }}", "..."),
        ("{{ 'abcdef' | truncate: '4', '' }}", "abcd"),
        ("{{ 'abcdef' | truncate: 6 }}", "abcdef"),
        ("{{ '<\"&>' | escape }}", "&lt;&quot;&amp;&gt;"),
    ],
)  # fmt: skip
def test_texts_are_cut_as_liquid_does(source: str, expected: str) -> None:
    assert text(source) == expected


@given(some.text("ab,", max_size=12), some.sampled_from([",", "a", "ab"]))
def test_what_is_split_and_joined_is_the_text_without_its_end(value: str, separator: str) -> None:
    joined = text("{{ v | split: s | join: s }}", v=value, s=separator)
    rest = value.removeprefix(joined)
    assert value.startswith(joined)
    assert not rest.replace(separator, "")
