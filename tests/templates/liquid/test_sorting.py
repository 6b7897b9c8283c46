"""Items that lack what they are sorted by come last, and are never an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from apps.templates.rendering.rendering import RenderError
from tests.support.rendering import EmailContent, render_email


def text(source: str, **variables: object) -> str:
    return render_email(EmailContent(subject="", text=source), variables).text


ITEMS = [{"n": "c"}, {"n": "a", "rank": 2}, {"n": "b", "rank": 1}]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ items | sort: 'rank' | map: 'n' | join }}", "b a c"),
        ("{{ items | sort_natural: 'rank' | map: 'n' | join }}", "b a c"),
        ("{{ mixed | sort | join: ',' }}", "1,3,"), ("{{ mixed | sort_natural | join: ',' }}", "1,3,"),
        ("{{ holes | sort: 'rank' | map: 'n' | join }}", "y x"),
        ("{{ items | sort: 'none' | map: 'n' | join }}", "c a b"),
        ("{{ words | sort | join }}", "B a c"), ("{{ words | sort_natural | join }}", "a B c"),
        ("{{ nothing | sort: 'a' | join }}", ""), ("{{ words | sort: nothing | join }}", "B a c"),
        ("{{ strays | sort: 'rank' | size }}", "4"), ("{{ strays | sort_natural: 'rank' | size }}", "4"),
        ("{{ empty_ | sort | join }}", ""), ("{{ floats | sort | join }}", "1 1.5 2"),
        ("{{ one | sort: 'n' | size }}", "1"),
    ],
)  # fmt: skip
def test_what_has_nothing_to_sort_by_is_last(source: str, expected: str) -> None:
    variables = {
        "items": ITEMS, "mixed": [3, None, 1], "holes": [{"n": "x", "rank": None}, {"n": "y", "rank": 0}],
        "words": ["c", "B", "a"], "nothing": None, "strays": [None, 5, {"rank": 1}, "text"], "empty_": [],
        "floats": [2, 1.5, 1], "one": {"n": 1},
    }  # fmt: skip
    assert text(source, **variables) == expected


ROWS = some.lists(
    some.fixed_dictionaries(
        {"n": some.integers(0, 99)}, optional={"rank": some.none() | some.integers(-5, 5)}
    ),
    max_size=8,
)


@given(rows=ROWS, name=some.sampled_from(["sort", "sort_natural"]))
def test_any_list_is_sorted_and_whole(rows, name) -> None:
    order = text(f"{{{{ rows | {name}: 'rank' | map: 'n' | join: ',' }}}}", rows=rows)
    there = [row for row in rows if row.get("rank") is not None]
    there.sort(key=lambda row: row["rank"] if name == "sort" else str(row["rank"]))
    lacking = [row for row in rows if row.get("rank") is None]
    assert order == ",".join(str(row["n"]) for row in [*there, *lacking])


def test_what_has_no_order_at_all_is_an_error() -> None:
    with pytest.raises(RenderError, match="sort can't work"):
        text("{{ l | sort }}", l=[1, "a"])
