"""Filters that reckon: with the digits that are written, half away from zero."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from apps.templates.rendering.rendering import RenderError
from tests.support.rendering import EmailContent, render_email


def text(source: str, **variables: object) -> str:
    return render_email(EmailContent(subject="", text=source), variables).text


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ 2.5 | round }}", "3"), ("{{ 12.5 | round }}", "13"), ("{{ 0.125 | round: 2 }}", "0.13"),
        ("{{ 0.5 | round }}", "1"), ("{{ -2.5 | round }}", "-3"), ("{{ 1.005 | round: 2 }}", "1.01"),
        ("{{ 2.675 | round: 2 }}", "2.68"), ("{{ '2.5' | round }}", "3"), ("{{ 2.4 | round }}", "2"),
        ("{{ 5 | round: 2 }}", "5"), ("{{ 2.0 | round: 2 }}", "2.0"), ("{{ 2.1 | round: 5 }}", "2.1"),
        ("{{ 1234.5 | round: -2 }}", "1200"), ("{{ 1250 | round: -2 }}", "1300"), ("{{ 5.6 | round: -9 }}", "0"),
        ("{{ 4.35 | times: 100 | round }}", "435"), ("{{ 'abc' | round }}", "0"),
        ("{{ 1e20 | round }}", "100000000000000000000"),
        ("{{ 2.5 | round: nil }}", "3"), ("{{ 2.55 | round: '1' }}", "2.6"), ("{{ 2.55 | round: 1.9 }}", "2.6"),
        ("{{ 0.3 | divided_by: 0.1 }}", "3.0"), ("{{ 7 | divided_by: 2 }}", "3"), ("{{ -7 | divided_by: 2 }}", "-4"),
        ("{{ 7 | divided_by: 2.0 }}", "3.5"), ("{{ '7' | divided_by: '2' }}", "3"),
        ("{{ '12 apples' | plus: 1 }}", "13"),
        ("{{ 0.1 | plus: 0.2 }}", "0.3"),
        ("{{ -7 | modulo: 2.5 }}", "0.5"), ("{{ -7 | modulo: 3 }}", "2"),
        ("{{ 7.5 | modulo: 2 }}", "1.5"), ("{{ 1.1 | times: 3 }}", "3.3"),
    ],
)  # fmt: skip
def test_numbers_come_out_as_on_paper(source: str, expected: str) -> None:
    assert text(source.replace("1e20", "v"), v=1e20) == expected


@given(some.decimals(-10_000, 10_000, places=4, allow_nan=False), some.integers(0, 5))
def test_half_is_rounded_away_from_zero(number: Decimal, digits: int) -> None:
    expected = number.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
    assert Decimal(text("{{ v | round: d }}", v=float(number), d=digits)) == expected


@pytest.mark.parametrize("digits", [10**29, -(10**29), 400, -400, 1e300])
@pytest.mark.parametrize("value", [2.5, 1e308, 5e-324, 10**29, "9" * 300])
def test_no_number_of_digits_is_dear_or_an_error(value: object, digits: object) -> None:
    message = ""
    try:
        text("{{ v | round: d }}", v=value, d=digits)
    except RenderError as error:
        message = str(error)
    assert not message or "too large" in message


def test_what_divides_by_zero_is_an_error() -> None:
    for source in ("{{ 1 | divided_by: z }}", "{{ 1 | modulo: z }}", "{{ 1.5 | divided_by: z }}"):
        with pytest.raises(RenderError, match="can't work"):
            text(source, z=0)
