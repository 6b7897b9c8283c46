"""Which declaration wins where a property is repeated, important, or limited to some media."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from apps.templates.html.inlining import inlined


def styled(css: str, element: str = "<p>", media: str = "") -> str:
    sheet = f"<style{media}>{css}</style>"
    made = inlined(sheet + element)
    assert made.startswith(sheet)
    return made.removeprefix(sheet)


@pytest.mark.parametrize(
    ("css", "style"),
    [
        ("p{background:#c00;background:linear-gradient(#c00,#900)}",
        "background: #c00;background: linear-gradient(#c00,#900);"),
        ("p{width:98%;width:calc(100% - 1em)}", "width: 98%;width: calc(100% - 1em);"),
        ("p{color:red;color:rgba(1,2,3,.5);color:color(x)}", "color: red;color: rgba(1,2,3,.5);color: color(x);"),
        ("p{COLOR:red;color:blue}", "color: red;color: blue;"), ("p{color:red;color:red}", "color: red;"),
        ("p{color:red;color:blue;color:red}", "color: blue;color: red;"),
        ("p{color:red;margin:0;color:blue}", "margin: 0;color: red;color: blue;"),
        ("p{color:red} p{color:blue}", "color: blue;"), ("p{color:red;color:blue} p{color:green}", "color: green;"),
        ("p{color:green} p{color:red;color:blue}", "color: red;color: blue;"),
        ("p{a:url(data:x;base64,AA==);a:url('b;c')}", "a: url(data:x;base64,AA==);a: url('b;c');"),
        ('p{a:"x;y";a:"}"}', "a: 'x;y';a: '}';"), ("p{--a:1;--a:2}", "--a: 2;"), ("p{a:b;;;a:c;}", "a: b;a: c;"),
        ("p{color:red/*;color:x*/;color:blue}", "color: red;color: blue;"),
        ("@media screen{p{a:b;a:c}} p{d:e}", "d: e;"),
        ("p{color:red;color:blue", "color: blue;"),
    ],
)  # fmt: skip
def test_both_of_a_pair_are_kept(css: str, style: str) -> None:
    assert styled(css) == f'<p style="{style}">'


@pytest.mark.parametrize(
    ("css", "element", "expected"),
    [
        ("p{color:red !important}", "<p style='color:blue'>", "<p style='color:blue; color: red;'>"),
        ("p{color:red!IMPORTANT}", "<p style='color:blue;'>", "<p style='color:blue; color: red;'>"),
        ("p{color:red ! important}", "<p>", '<p style="color: red;">'),
        ("p{color:red !important;margin:0}", "<p style='color:blue'>",
        "<p style='margin: 0; color:blue; color: red;'>"),
        ("p{color:red !important;color:green}", "<p>", '<p style="color: red;">'),
        ("p{color:green;color:red !important;color:x !important}", "<p>", '<p style="color: red;color: x;">'),
        ("p{color:red !important} p.c{color:green}", "<p class=c>", '<p style="color: red;" class=c>'),
        ("p{background:red !important;background-color:blue}",
        "<p>", '<p style="background-color: blue;background: red;">'),
        ("p{a:b !important}", "<p style=c:d>", '<p style="c:d; a: b;">'),
        ("p{a:b !important}", "<p style>", '<p style="a: b;">'),
        ("p{a:b !important}", "<p style=' '>", "<p style='a: b; '>"),
        ("p{a:b !important}", "<p style='{% if x %}c:d{% endif %}'>", "<p style='{% if x %}c:d{% endif %}; a: b;'>"),
        ("p{a:'x' !important}", "<p style='c:d'>", "<p style='c:d; a: &#39;x&#39;;'>"),
        ("p{a:'!important'}", "<p style='c:d'>", "<p style='a: &#39;!important&#39;; c:d'>"),
    ],
)  # fmt: skip
def test_what_is_important_wins_over_the_element_itself(css: str, element: str, expected: str) -> None:
    assert styled(css, element) == expected


@pytest.mark.parametrize(
    ("media", "is_"),
    [
        (" media=all", True), (" media='screen'", True), (' media="SCREEN"', True), (" media='all, print'", True),
        (" media='print, screen'", True), (" media='only screen'", True), (" media=''", True), (" media", True),
        (" type='text/css' media='all'", True), (" media=print", False), (" media='(max-width:9px)'", False),
        (" media='screen and (max-width:9px)'", False), (" media='not all'", False), (" media='{{ m }}'", False),
        (" media='only screen and (min-width: 1px)'", False), (" media=speech", False), (" media='screens'", False),
    ],
)  # fmt: skip
def test_a_sheet_for_screens_is_inlined(media: str, is_: bool) -> None:
    assert styled("p{a:b}", media=media) == ('<p style="a: b;">' if is_ else "<p>")


RULES = some.lists(
    some.tuples(
        some.sampled_from(["p", ".c", "p.c", "#i"]),
        some.lists(
            some.tuples(some.sampled_from("abc"), some.integers(0, 9), some.booleans()),
            min_size=1,
            max_size=5,
        ),
    ),
    min_size=1,
    max_size=5,
)
STRENGTH = {"p": 1, ".c": 10, "p.c": 11, "#i": 100}


@given(RULES)
def test_any_rules_give_the_style_that_the_cascade_gives(rules) -> None:
    suffix = {True: " !important", False: ""}
    css = "".join(
        f"{selector}{{{';'.join(f'{name}:{value}{suffix[loud]}' for name, value, loud in declarations)}}}"
        for selector, declarations in rules
    )
    wins: dict[str, tuple[tuple[bool, int, int], int]] = {}
    for place, (selector, declarations) in enumerate(rules):
        for name, value, loud in declarations:
            rank = (loud, STRENGTH[selector], place)
            if name not in wins or rank >= wins[name][0]:
                wins[name] = rank, value
    made = styled(css, "<p class=c id=i>")
    shown: dict[str, int] = {}
    for name, value in re.findall(r"([abc]): (\d)", made):
        shown[name] = int(value)
    assert shown == {name: value for name, (_, value) in wins.items()}
    assert "important" not in made
