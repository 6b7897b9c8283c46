"""What a receiver's answer means, and when a callback is tried again. Pure arithmetic."""

import random

from django.conf import settings

from apps.notifications.webhooks.client import Answer
from notifier.lib.http.retry_after import seconds_until

GONE = 410
PASSING = frozenset({408, 425, 429})
"""4xx that mean "later" instead of "no"."""
REFUSALS_LIMIT = 3
"""A 4xx or a redirect may come from a deployment; after so many attempts it is taken as final."""
JITTER = (1.0, 1.25)
LONGEST_WAIT = 24 * 3600.0
"""The longest Retry-After that is followed, in seconds."""
NEVER = frozenset({"address_refused", "https_only", "invalid", "credentials", "max_length"})


def taken(answer: Answer) -> bool:
    """Whether the receiver accepted the callback: any 2xx."""
    return answer.status is not None and 200 <= answer.status < 300


def wait(answer: Answer, attempts: int) -> float | None:
    """Seconds until the next attempt after `attempts` failed ones; None if there is none left."""
    schedule = settings.CALLBACK_SCHEDULE
    status = answer.status
    if status == GONE or answer.code in NEVER or attempts > len(schedule):
        return None
    refused = status is not None and 300 <= status < 500 and status not in PASSING
    if refused and attempts >= REFUSALS_LIMIT:
        return None
    step = schedule[attempts - 1] * random.uniform(*JITTER)  # noqa: S311 - no secret
    return max(step, min(_retry_after(answer.retry_after), LONGEST_WAIT))


def _retry_after(header: str) -> float:
    """Seconds by a Retry-After header, a number or a date; 0 for none, and for an unreadable one."""
    if header.isascii() and header.isdigit():
        return float(header[:9])
    return seconds_until(header) or 0.0
