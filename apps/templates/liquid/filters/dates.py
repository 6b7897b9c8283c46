"""The `date` filter: what it takes for a moment, and how it writes one.

Numeric dates are read as Ruby does, since Liquid is written in it. What says no zone is UTC.
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
"""A text that is one, but for whole seconds, is no moment; the parser would take `1.5` for a day."""
ZONES = {
    **dict.fromkeys(("UTC", "GMT", "UT", "Z"), 0),
    **{f"{name}ST": hours for name, hours in (("E", -5), ("C", -6), ("M", -7), ("P", -8))},
    **{f"{name}DT": hours for name, hours in (("E", -4), ("C", -5), ("M", -6), ("P", -7))},
}
"""Hours from UTC, of the zones that mails may be dated in by name (RFC 5322)."""
PROBES = (datetime(2000, 1, 1), datetime(2004, 3, 2, 1))  # noqa: DTZ001 - read beside a text that may name a zone
"""Two moments that have nothing in common: what a text says comes out alike beside both."""


@liquid_filter
def date(value: object, fmt: object) -> object:
    """`value` in the format; as it is where there is no format, or it is no moment."""
    form = text_of(fmt)
    moment = moment_of(value) if form else None
    if moment is None:
        return value
    written = formatted(moment, form)
    return Markup(written) if isinstance(form, Markup) else written  # noqa: S704 - the author's own


def moment_of(value: object) -> datetime | None:
    """A text, or seconds since 1970 (a text of digits is these too). None: that is no moment."""
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
            # The parser raises more than it says.
            found = _whole(NUMERIC.sub(_iso, text, count=1))
        except (ValueError, TypeError, ArithmeticError, AttributeError, LookupError):
            return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)


def _iso(found: re.Match[str]) -> str:
    """Day, month and year where the year is last and has its century; else year, month and day. What is no date
    that way is left for the other reading: 12/31/2026."""
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
    """What is named more roughly than the first thing that the text names is now's; what is finer begins."""
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
