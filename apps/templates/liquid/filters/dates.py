"""The `date` filter: parses a time and formats it.

Numeric dates are parsed as in Ruby, Liquid's own language. A time without a zone is in UTC.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from datetime import date as Day

from dateutil import parser
from liquid.filter import liquid_filter
from markupsafe import Markup

from apps.templates.liquid.filters.strftime import formatted
from apps.templates.liquid.values import text_of

NUMERIC = re.compile(r"(?<![\w/.:-])(\d{1,4})([/.-])(\d{1,2})\2(\d{1,4})(?!\d)")
NUMBER = re.compile(r"[-+]?\d*\.?\d*")
"""Text that is a number is not a time, except whole seconds; the parser would take `1.5` for a day."""
ZONES = {
    **dict.fromkeys(("UTC", "GMT", "UT", "Z"), 0),
    **{f"{name}ST": hours for name, hours in (("E", -5), ("C", -6), ("M", -7), ("P", -8))},
    **{f"{name}DT": hours for name, hours in (("E", -4), ("C", -5), ("M", -6), ("P", -7))},
}
"""Offset from UTC in hours of the zone names that RFC 5322 allows in emails."""
PROBES = (datetime(2000, 1, 1), datetime(2004, 3, 2, 1))  # noqa: DTZ001 - defaults for a text that may name a zone
"""Two defaults that differ in every field: a field that is equal after parsing with each is given by the text."""


@liquid_filter
def date(value: object, fmt: object) -> object:
    """`value` in the format `fmt`; unchanged where the format is empty or the value is not a time."""
    form = text_of(fmt)
    moment = moment_of(value) if form else None
    if moment is None:
        return value
    written = formatted(moment, form)
    return Markup(written) if isinstance(form, Markup) else written  # noqa: S704 - the format is the author's own text


def moment_of(value: object) -> datetime | None:
    """Parses a text, or seconds since 1970 (also as a text of digits). None: not a time."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, Day):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in ("now", "today"):
            return datetime.now(UTC)
        if not (text.isascii() and text.isdigit()):
            return _read(text)
        value = int(text) if len(text) < 20 else None
    if not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _read(text: str) -> datetime | None:
    if NUMBER.fullmatch(text):
        return None
    found: datetime | None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            # The parser raises more than it documents.
            found = _whole(NUMERIC.sub(_iso, text, count=1))
        except (ValueError, TypeError, ArithmeticError, AttributeError, LookupError):
            return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)


def _iso(found: re.Match[str]) -> str:
    """Day-month-year where the year comes last with its century, else year-month-day, as an ISO date. Text that
    isn't a valid date in that order is returned unchanged for the parser: 12/31/2026."""
    first, _, month, last = found.groups()
    year, day = (last, first) if len(last) > 2 else (first, last)
    whole = int(year)
    if len(year) <= 2:
        whole += 1900 if whole > 68 else 2000
    try:
        return Day(whole, int(month), int(day)).isoformat()
    except ValueError:
        return found[0]


def _whole(text: str) -> datetime | None:
    """Units larger than the first that the text gives are today's; smaller omitted ones are at their minimum."""
    one: datetime
    other: datetime
    one, other = (parser.parse(text, default=probe, tzinfos=_zone) for probe in PROBES)
    specified = [getattr(one, part) == getattr(other, part) for part in ("year", "month", "day", "hour")]
    if not any(specified):
        return None
    first = specified.index(True)
    now = datetime.now(one.tzinfo or UTC)
    return one.replace(**{part: getattr(now, part) for part in ("year", "month", "day")[:first]})


def _zone(name: str | None, offset: int | None) -> tzinfo | None:
    if offset is None and (hours := ZONES.get((name or "").upper())) is not None:
        offset = hours * 3600
    return None if offset is None else timezone(timedelta(seconds=offset))
