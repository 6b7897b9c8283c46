"""What a receiver's answer means, and when a callback is tried again. Pure arithmetic."""

import random

from django.conf import settings

from apps.notifications.webhooks.client import Answer
from notifier.lib.http.retry_after import seconds_until

GONE = 410
PASSING = frozenset({408, 425, 429})
"""4xx that say "later" instead of "no"."""
TRIES_AFTER_NO = 3
"""A 4xx or a redirect may be a deployment's hiccup; after so many it is what the receiver means."""
JITTER = (1.0, 1.25)
LONGEST_WAIT = 24 * 3600.0
"""A receiver may ask for no more than this."""
NEVER = frozenset({"address_refused", "https_only", "invalid", "credentials", "max_length"})


def taken(answer: Answer) -> bool:
    return answer.status is not None and 200 <= answer.status < 300


def wait(answer: Answer, attempts: int) -> float | None:
    """Seconds until the next try after `attempts` failed ones; None when there is none."""
    schedule = settings.CALLBACK_SCHEDULE
    status = answer.status
    if status == GONE or answer.code in NEVER or attempts > len(schedule):
        return None
    said_no = status is not None and 300 <= status < 500 and status not in PASSING
    if said_no and attempts >= TRIES_AFTER_NO:
        return None
    step = schedule[attempts - 1] * random.uniform(*JITTER)  # noqa: S311 - no secret
    return max(step, min(_asked(answer.retry_after), LONGEST_WAIT))


def _asked(retry_after: str) -> float:
    """Seconds by a Retry-After header, a number or a date; 0 for none and for nonsense."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    return seconds_until(retry_after) or 0.0
