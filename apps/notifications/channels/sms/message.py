"""A rendered text."""

from dataclasses import dataclass
from datetime import datetime

SCENARIOS = {
    "+15005550101": "delivered",
    "+15005550102": "bounced",
    "+15005550103": "tempfail",
    "+15005550104": "permfail",
    "+15005550105": "slow",
    "+15005550106": "unknown",
}
"""What the sandbox does for these numbers, which nobody has."""


@dataclass(frozen=True, slots=True)
class SmsMessage:
    """A rendered text to one number in E.164. `expires_at`: from then on it is not delivered; None: the provider's
    own limit. `attempt` counts from 1."""

    delivery_id: str
    to: str
    text: str
    expires_at: datetime | None = None
    attempt: int = 1

    @property
    def reference(self) -> str:
        return self.delivery_id

    @property
    def scenario(self) -> str:
        return SCENARIOS.get(self.to, "")
