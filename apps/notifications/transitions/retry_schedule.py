"""When a failed attempt is retried, and when no more. Pure arithmetic."""

import random

from django.conf import settings

from notifier.channels.declaration import RetryPolicy

JITTER = (0.5, 1.5)
DEFERRAL_JITTER = (1.0, 1.2)


def wait(channel: str, attempts: int, *, floor: float = 0.0) -> float | None:
    """Seconds until the next attempt after `attempts` failed ones, by the channel's policy in the settings, with
    jitter; None if there is none left."""
    policy: RetryPolicy = settings.RETRY_POLICIES[channel]
    if attempts > len(policy.steps) and not (policy.repeat_last and policy.steps):
        return None
    step = policy.steps[min(attempts, len(policy.steps)) - 1]
    # Without jitter, messages that failed together would come back together.
    return max(floor, step * random.uniform(*JITTER))  # noqa: S311 - no secret


def deferral(seconds: float) -> float:
    """`seconds` with jitter on top, so that not all messages come back to a provider at once."""
    return seconds * random.uniform(*DEFERRAL_JITTER)  # noqa: S311 - no secret
