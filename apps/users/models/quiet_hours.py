"""Quiet hours: a daily span in a person's time zone. Arithmetic alone, without the database."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def end_of_quiet_hours(now: datetime, zone: ZoneInfo, start: time, end: time) -> datetime | None:
    """When (UTC) the quiet hours end that `now` is in; None where it is in none.

    They begin when `zone`'s clock first shows `start`, and end when it first shows `end`: on the same day if
    that is later, else on the next. A time that the clock skips counts as reached at the skip; one that it shows
    twice counts at the first time.
    """
    found = None
    today = now.astimezone(zone).date()
    # A clock may go back past midnight: tomorrow's span may have begun already.
    for day in (today - DAY, today, today + DAY):
        begins = _first(day, start, zone)
        ends = _first(day if start < end else day + DAY, end, zone)
        if begins <= (found or now) < ends:
            found = ends
    return found


def _first(day: date, wanted: time, zone: ZoneInfo) -> datetime:
    """The first instant (UTC) at which the zone's clock shows `wanted` on `day`, or is past it."""
    shown = datetime.combine(day, wanted, zone)
    before = shown.astimezone(UTC)
    if before.astimezone(zone).replace(tzinfo=None) == shown.replace(tzinfo=None):
        return before
    # Skipped. With the later offset it lies before the skip, with the earlier offset after it.
    low, high = shown.replace(fold=1).astimezone(UTC), before
    while high - low > SECOND:
        middle = low + (high - low) // SECOND // 2 * SECOND
        if middle.astimezone(zone).replace(tzinfo=None) < shown.replace(tzinfo=None):
            low = middle
        else:
            high = middle
    return high
