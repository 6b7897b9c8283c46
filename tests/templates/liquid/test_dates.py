"""The `date` filter, as Ruby's Liquid reads and writes moments."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.support.rendering import EmailContent, render_email

NOW = datetime.now(UTC)


def text(source: str, **variables: object) -> str:
    return render_email(EmailContent(subject="", text=source), variables).text


def dated(value: object, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    return text("{{ v | date: f }}", v=value, f=form)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-09T15:04:05Z", "2026-03-09 15:04:05"), ("2026-03-09 15:04", "2026-03-09 15:04:00"),
        ("2026-03-09", "2026-03-09 00:00:00"), ("2026/03/09", "2026-03-09 00:00:00"),
        ("2026.03.09", "2026-03-09 00:00:00"),
        ("March 9, 2026", "2026-03-09 00:00:00"), ("9 Mar 2026 3:04 pm", "2026-03-09 15:04:00"),
        ("Mon, 09 Mar 2026 15:04:05 +0100", "2026-03-09 15:04:05"),
        ("2026-03-09T15:04:05-05:00", "2026-03-09 15:04:05"),
        # The day is first where the year is last, whatever stands between them.
        ("03/04/2026", "2026-04-03 00:00:00"), ("3.4.2026", "2026-04-03 00:00:00"),
        ("03-04-2026 10:30", "2026-04-03 10:30:00"),
        ("10:30 03/04/2026", "2026-04-03 10:30:00"),
        # Year first where it is written short.
        ("26/03/04", "2026-03-04 00:00:00"), ("03-04-26", "2003-04-26 00:00:00"),
        (0, "1970-01-01 00:00:00"), (1700000000, "2023-11-14 22:13:20"), ("1700000000", "2023-11-14 22:13:20"),
        (-86400, "1969-12-31 00:00:00"),
    ],
)  # fmt: skip
def test_moments_are_read_as_liquid_does(value: object, expected: str) -> None:
    assert dated(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("May", f"{NOW.year}-05-01 00:00:00"), ("May 2024", "2024-05-01 00:00:00"),
        ("12 May", f"{NOW.year}-05-12 00:00:00"),
        ("May 12", f"{NOW.year}-05-12 00:00:00"), ("December", f"{NOW.year}-12-01 00:00:00"),
        ("03/04", f"{NOW.year}-03-04 00:00:00"),
        ("May 12 10:30", f"{NOW.year}-05-12 10:30:00"),
    ],
)  # fmt: skip
def test_what_a_date_leaves_out_is_this_years_and_the_first(value: str, expected: str) -> None:
    assert dated(value) == expected


def test_a_time_by_itself_is_todays() -> None:
    before = datetime.now(UTC).date()
    rendered = dated("10:30")
    assert rendered in {f"{day.isoformat()} 10:30:00" for day in (before, datetime.now(UTC).date())}


@pytest.mark.parametrize(
    "value", ["", "soon", "Monday", "31 February 2026", "2026-13-45",
    "-1700000000", "-5", "1.5", "+2", "1700000000.5", "1e3", [], {}, True, None, 10**25, 1e300]
)  # fmt: skip
def test_what_is_no_moment_stays_as_it_is(value: object) -> None:
    assert dated(value) == text("{{ v }}", v=value)


@pytest.mark.parametrize("form", ["", None])
def test_no_format_changes_nothing(form: object) -> None:
    assert text("{{ v | date: f }}", v="2026-03-09T15:04:05Z", f=form) == "2026-03-09T15:04:05Z"
    assert text("{{ v | date: f }}", v=None, f=form) == ""


@pytest.mark.parametrize("value", ["now", "today", "NOW", " Today "])
def test_now_is_now(value: str) -> None:
    assert abs(int(dated(value, "%s")) - datetime.now(UTC).timestamp()) < 60
    assert text("{{ now | date: '%Y' }} {{ today | date: '%Y' }}") == f"{NOW.year} {NOW.year}"


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("%L", "007"), ("%3N", "007"), ("%6N", "007008"), ("%N", "007008000"), ("%1N", "0"), ("%Z", "UTC"),
        ("%z", "+0000"),
        ("%:z", "+00:00"), ("%::z", "+00:00:00"), ("%d/%m/%y", "09/03/26"), ("%-d %-m %e", "9 3  9"), ("%_m", " 3"),
        ("%B %b %h %^b %^A", "March Mar Mar MAR MONDAY"), ("%A %a", "Monday Mon"), ("%I:%M %p", "03:04 PM"),
        ("%l %k %P %#p", " 3 15 pm pm"), ("%j %U %W %V", "068 10 10 11"), ("%u %w", "1 1"), ("%G-W%V", "2026-W11"),
        ("%C %y", "20 26"), ("%s", "1773068645"), ("%F %T", "2026-03-09 15:04:05"), ("%D %R", "03/09/26 15:04"),
        ("%c", "Mon Mar  9 15:04:05 2026"), ("%x %X", "03/09/26 15:04:05"), ("%r", "03:04:05 PM"),
        ("%v", " 9-MAR-2026"),
        ("%10Y|%05d|%10B|%010B", "0000002026|00009|     March|00000March"), ("100%% %n%t", "100% \n\t"),
        ("%Q %!", "%Q %!"), ("plain", "plain"),
        ("%-I%P", "3pm"), ("%Ey %Od", "26 09"), ("%+", "Mon Mar  9 15:04:05 UTC 2026"),
    ],
)  # fmt: skip
def test_formats_are_rubys(form: str, expected: str) -> None:
    assert dated("2026-03-09T15:04:05.007008Z", form) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-09T15:04:05+02:30", "+0230 +02:30 []"), ("2026-03-09 15:04 -0500", "-0500 -05:00 []"),
        ("2026-03-09 15:04", "+0000 +00:00 [UTC]"), ("2026-03-09 15:04 GMT", "+0000 +00:00 [UTC]"),
        ("9 March 2026 15:04 EST", "-0500 -05:00 []"), ("9 March 2026 15:04 PDT", "-0700 -07:00 []"),
    ],
)  # fmt: skip
def test_a_zone_is_kept_and_utc_alone_has_a_name(value: str, expected: str) -> None:
    assert dated(value, "%z %:z [%Z]") == expected


MOMENTS = some.datetimes(datetime(1900, 1, 1), datetime(2999, 1, 1))  # noqa: DTZ001 - given its zone below


@given(MOMENTS, some.sampled_from("aAbBCdDeFgGHIjkmMprRSTuUVwWyY"))
def test_what_the_system_writes_too_is_written_alike(moment: datetime, name: str) -> None:
    assert dated(f"{moment.isoformat()}Z", f"%{name}") == moment.strftime(f"%{name}")


@given(MOMENTS)
def test_what_is_written_is_read_again(moment: datetime) -> None:
    whole = moment.replace(microsecond=0)
    for form in (
        "%Y-%m-%dT%H:%M:%S%z",
        "%d/%m/%Y %H:%M:%S",
        "%-d %B %Y %I:%M:%S %p",
        "%a, %d %b %Y %T %z",
        "%d.%m.%Y %T",
    ):
        written = dated(f"{whole.isoformat()}Z", form)
        assert dated(written) == f"{whole:%Y-%m-%d %H:%M:%S}"


def test_a_width_is_bounded() -> None:
    assert len(dated("2026-03-09", "%999Y")) <= 200


def test_markup_in_a_format_is_the_authors_and_in_a_value_is_not() -> None:
    source = "{{ v | date: '<b>%Y</b>' }}{{ w | date: '%Y' }}{{ v | date: w }}"
    content = EmailContent(subject="", html=source)
    rendered = render_email(content, {"v": "2026-01-01", "w": "<i>"}).html
    assert rendered == "<b>2026</b>&lt;i&gt;&lt;i&gt;"
