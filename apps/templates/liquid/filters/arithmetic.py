"""Arithmetic filters in decimal, not binary, fractions: halves are rounded away from zero, and 0.3 is exactly three
times 0.1."""

from decimal import ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal

from liquid.filter import math_filter

WIDE = Context(prec=400, rounding=ROUND_HALF_UP)
"""Enough precision for all digits of any float before and after the decimal point."""
MOST_DIGITS = 400


@math_filter
def round_(num: float, ndigits: float = 0) -> float:
    """Rounded to `ndigits` decimals; 0 gives a whole number, a negative count rounds to tens, hundreds, …"""
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
    """The quotient; of two whole numbers, rounded down to a whole number."""
    if isinstance(num, int) and isinstance(other, int):
        return num // other
    return float(Decimal(str(num)) / Decimal(str(other)))


@math_filter
def modulo(num: float, other: float) -> float:
    """The remainder of `num / other`, with the divisor's sign."""
    if isinstance(num, int) and isinstance(other, int):
        return num % other
    whole, divisor = Decimal(str(num)), Decimal(str(other))
    return float(whole - divisor * (whole / divisor).to_integral_value(ROUND_FLOOR))
