"""The end of quiet hours in every time zone, compared with an oracle that steps through it minute by minute."""

import zoneinfo
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.users.models.quiet_hours import end_of_quiet_hours

ZONES = sorted(zoneinfo.available_timezones())
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
CLOCK = st.integers(0, 24 * 60 - 1).map(lambda minute: time(minute // 60, minute % 60))


@cache
def changes(name: str) -> tuple[datetime, ...]:
    """The minutes of 2026 and 2027 at which the zone's offset changes."""
    zone = ZoneInfo(name)
    found = []
    before = datetime(2026, 1, 1, tzinfo=UTC)
    while before.year < 2028:
        # No zone changes twice in so short a time.
        after = before + timedelta(hours=6)
        offset = before.astimezone(zone).utcoffset()
        if offset != after.astimezone(zone).utcoffset():
            minute = before
            while minute.astimezone(zone).utcoffset() == offset:
                minute += MINUTE
            found.append(minute)
        before = after
    return tuple(found)


def first(zone: ZoneInfo, day: date, wanted: time) -> datetime:
    """The first minute whose reading is `wanted` of `day` or past it, found by looking at the clock."""
    aim = datetime.combine(day, wanted)
    minute = aim.replace(tzinfo=UTC) - timedelta(hours=15)
    while minute.astimezone(zone).replace(tzinfo=None) < aim:
        minute += MINUTE
    return minute


def by_looking(now: datetime, zone: ZoneInfo, start: time, end: time) -> datetime | None:
    today = now.astimezone(zone).date()
    spans = [
        (first(zone, day, start), first(zone, day if start < end else day + DAY, end))
        for day in (today - DAY, today, today + DAY)
    ]
    found = None
    for begins, ends in spans:
        if begins <= (found or now) < ends:
            found = ends
    return found


@pytest.mark.parametrize("change", [0, 1, 2, 3])
@settings(max_examples=30)
@given(data=st.data(), start=CLOCK, end=CLOCK, minutes=st.integers(-26 * 60, 26 * 60))
def test_it_is_what_the_clocks_show(change, data, start, end, minutes):
    name = data.draw(st.sampled_from(ZONES if change == 0 else [one for one in ZONES if changes(one)]))
    around = changes(name)[change % len(changes(name))] if changes(name) else datetime(2026, 6, 1, tzinfo=UTC)
    now, zone = around + minutes * MINUTE, ZoneInfo(name)
    if start == end:
        return

    found = end_of_quiet_hours(now, zone, start, end)

    assert found == by_looking(now, zone, start, end)
    # It is over then.
    assert found is None or end_of_quiet_hours(found, zone, start, end) is None


def test_every_zone_at_every_change():
    """At each change of the clocks, spans whose ends lie right in it."""
    for name in ZONES:
        zone = ZoneInfo(name)
        for change in changes(name):
            local = change.astimezone(zone)
            for shift in (-61, -30, -1, 0, 30, 59):
                inside = (datetime.combine(local.date(), local.time()) + shift * MINUTE).time()
                for start, end in ((time(22), inside), (inside, time(9))):
                    if start == end:
                        continue
                    for offset in (-90, -1, 0, 29, 61):
                        now = change + offset * MINUTE
                        found = end_of_quiet_hours(now, zone, start, end)
                        assert found is None or now < found <= now + timedelta(hours=26), (
                            name,
                            now,
                            start,
                            end,
                        )
                        assert found is None or end_of_quiet_hours(found, zone, start, end) is None


@pytest.mark.parametrize(
    ("now", "start", "end", "wanted"),
    [
        # Paris goes from 2:00 to 3:00 on 29 March, and from 3:00 back to 2:00 on 25 October.
        ("2026-03-28T21:30:00+00:00", "22:00", "07:00", "2026-03-29T05:00:00+00:00"),
        ("2026-03-29T00:30:00+00:00", "22:00", "02:30", "2026-03-29T01:00:00+00:00"),
        ("2026-03-29T01:00:00+00:00", "22:00", "02:30", None),
        ("2026-03-29T01:00:00+00:00", "02:30", "07:00", "2026-03-29T05:00:00+00:00"),
        ("2026-10-25T00:10:00+00:00", "22:00", "02:30", "2026-10-25T00:30:00+00:00"),
        ("2026-10-25T01:10:00+00:00", "22:00", "02:30", None),
        ("2026-10-25T01:10:00+00:00", "02:30", "07:00", "2026-10-25T06:00:00+00:00"),
        # An afternoon, and its edges.
        ("2026-06-01T11:00:00+00:00", "13:00", "15:00", "2026-06-01T13:00:00+00:00"),
        ("2026-06-01T10:59:59+00:00", "13:00", "15:00", None),
        ("2026-06-01T13:00:00+00:00", "13:00", "15:00", None),
    ],
)
def test_paris(now, start, end, wanted):
    found = end_of_quiet_hours(
        datetime.fromisoformat(now),
        ZoneInfo("Europe/Paris"),
        time.fromisoformat(start),
        time.fromisoformat(end),
    )
    assert found == (datetime.fromisoformat(wanted) if wanted else None)


def test_a_change_at_a_second_that_no_minute_has():
    # Monrovia, 1972-01-07: from -0:44:30 to UTC.
    found = end_of_quiet_hours(
        datetime(1972, 1, 7, 0, 30, tzinfo=UTC), ZoneInfo("Africa/Monrovia"), time(22), time(0, 20)
    )
    assert found == datetime(1972, 1, 7, 0, 44, 30, tzinfo=UTC)
