"""Filters that reckon with decimal fractions as they are written: half is rounded away from zero, and 0.3 holds 0.1
three times."""

from decimal import ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal

from liquid.filter import math_filter

WIDE = Context(prec=400, rounding=ROUND_HALF_UP)
"""For every digit of any number there is before and after the point."""
MOST_DIGITS = 400


@math_filter
def round_(num: float, ndigits: float = 0) -> float:
    """A whole number, or as many digits after the point as asked for; fewer than none round to tens and hundreds."""
    digits = int(ndigits)
    if digits < -MOST_DIGITS:
        return 0
    if isinstance(num, int) and digits >= 0:
        return num
    exact = Decimal(str(num))
    if digits <= 0:
        return int(exact.quantize(Decimal(1).scaleb(-digits), context=WIDE))
    exponent = exact.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent <= digits:
        return num
    return float(exact.quantize(Decimal(1).scaleb(-digits), context=WIDE))


@math_filter
def divided_by(num: float, other: float) -> float:
    """Whole numbers give a whole number, rounded down."""
    if isinstance(num, int) and isinstance(other, int):
        return num // other
    return float(Decimal(str(num)) / Decimal(str(other)))


@math_filter
def modulo(num: float, other: float) -> float:
    """What is left of `num`, of the divisor's sign."""
    if isinstance(num, int) and isinstance(other, int):
        return num % other
    whole, divisor = Decimal(str(num)), Decimal(str(other))
    return float(whole - divisor * (whole / divisor).to_integral_value(ROUND_FLOOR))
