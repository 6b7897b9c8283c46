"""When a refused message is tried again, and when it has been tried enough. Pure arithmetic."""

import random
from dataclasses import dataclass
from typing import Any

from django.conf import settings

JITTER = (0.5, 1.5)
DEFERRAL_JITTER = (1.0, 1.2)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`steps`: the waits in seconds after the first, second, … refusal; `repeat_last`: the last step goes on
    until the deadline, `deadline` seconds after a delivery's first due time."""

    steps: tuple[float, ...]
    repeat_last: bool
    deadline: float

    def wait(self, attempts: int, *, floor: float = 0.0) -> float | None:
        """Seconds until the next try after `attempts` refused ones, jittered; None when there is none left."""
        if attempts > len(self.steps) and not (self.repeat_last and self.steps):
            return None
        step = self.steps[min(attempts, len(self.steps)) - 1]
        # Without jitter, whatever failed together would come back together.
        return max(floor, step * random.uniform(*JITTER))  # noqa: S311 - no secret


def policy_for(channel: str) -> RetryPolicy:
    values: dict[str, Any] = settings.RETRY_POLICIES[channel]
    return RetryPolicy(tuple(values["steps"]), values["repeat_last"], values["deadline"])


def deferral(wait: float) -> float:
    """`wait` seconds with a little on top, so that a resting provider isn't met by everybody at once."""
    return wait * random.uniform(*DEFERRAL_JITTER)  # noqa: S311 - no secret
