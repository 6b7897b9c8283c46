"""When a failed attempt is retried, and when no more. Pure arithmetic."""

import random
from dataclasses import dataclass
from typing import Any

from django.conf import settings

JITTER = (0.5, 1.5)
DEFERRAL_JITTER = (1.0, 1.2)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`steps`: the waits in seconds after the first, second, … failed attempt; `repeat_last`: the last step repeats
    until the delivery's deadline."""

    steps: tuple[float, ...]
    repeat_last: bool

    def wait(self, attempts: int, *, floor: float = 0.0) -> float | None:
        """Seconds until the next attempt after `attempts` failed ones, with jitter; None if there is none left."""
        if attempts > len(self.steps) and not (self.repeat_last and self.steps):
            return None
        step = self.steps[min(attempts, len(self.steps)) - 1]
        # Without jitter, messages that failed together would come back together.
        return max(floor, step * random.uniform(*JITTER))  # noqa: S311 - no secret


def policy_for(channel: str) -> RetryPolicy:
    """The channel's policy by the settings."""
    values: dict[str, Any] = settings.RETRY_POLICIES[channel]
    return RetryPolicy(tuple(values["steps"]), values["repeat_last"])


def deferral(wait: float) -> float:
    """`wait` seconds with jitter on top, so that not all messages come back to a provider at once."""
    return wait * random.uniform(*DEFERRAL_JITTER)  # noqa: S311 - no secret
