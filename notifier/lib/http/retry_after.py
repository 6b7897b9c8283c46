"""The Retry-After header: how long a service asks its clients to wait."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST = 3600.0


def retry_after(headers: Mapping[str, str], *, default: float, now: datetime | None = None) -> float:
    """Seconds, from 1 to `LONGEST`, by a Retry-After header of seconds or an HTTP date; else `default`."""
    value = next((text for name, text in headers.items() if name.lower() == "retry-after"), "").strip()
    if re.fullmatch(r"[0-9]{1,12}", value):
        seconds = float(value)
    else:
        until = seconds_until(value, now=now)
        if until is None:
            return default
        seconds = until
    return min(max(seconds, 1.0), LONGEST)


def seconds_until(date: str, *, now: datetime | None = None) -> float | None:
    """Seconds from now to an HTTP date, negative for a past one; None for text that is no date."""
    try:
        until = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError):
        return None
    return (until.replace(tzinfo=until.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds()
