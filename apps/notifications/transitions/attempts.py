"""One try to send one claimed delivery: what was claimed, what it says, and what came of it."""

import time
from typing import Any, Protocol

from apps.notifications.channels.outcome import Message, Outcome
from apps.notifications.models.claimed import ClaimedDelivery

SAFETY_SECONDS = 5.0
"""With less than this left of its lease, nothing irrevocable is begun."""


class Journal(Protocol):
    """Where an attempt notes that its message is about to be given away (`delivery.journal`)."""

    def begin(self, pk: Any, fence: int) -> bool: ...


class DeliveryAttempt:
    """Travels from the claim to the record.

    `message`: what it says, once rendered. `secrets`: what of that no log or column may hold. `begun`: the sender
    was let past the point of no return. `outcome`, `provider`, `ended_at`: what came of it, through which account,
    and when that was known, on the monotonic clock. `expires`: the end of its lease, on the same clock.
    """

    __slots__ = (
        "begun", "delivery", "ended_at", "expires", "journal", "message", "outcome", "provider", "secrets",
    )  # fmt: skip

    def __init__(
        self, delivery: ClaimedDelivery, *, journal: Journal | None = None, expires: float = 0.0
    ) -> None:
        self.delivery, self.journal, self.expires = delivery, journal, expires
        self.message: Message | None = None
        self.secrets: tuple[str, ...] = ()
        self.begun = False
        self.outcome: Outcome | None = None
        self.provider = ""
        self.ended_at = 0.0

    def may_commit(self) -> bool:
        """Whether the irrevocable step may begin now; asked right before it, and noted in the journal."""
        self.begun = (
            time.monotonic() + SAFETY_SECONDS < self.expires
            and self.journal is not None
            and self.journal.begin(self.delivery.pk, self.delivery.fence)
        )
        return self.begun

    def ended(self, outcome: Outcome, provider: str) -> "DeliveryAttempt":
        self.outcome, self.provider, self.ended_at = outcome, provider, time.monotonic()
        # Until it is recorded, which may take as long as the database is away, a hundred messages would fill memory.
        self.message, self.secrets, self.journal = None, (), None
        return self
