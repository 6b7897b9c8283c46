"""One attempt to send one claimed delivery: the claim, the message and the outcome."""

import time
from typing import Any, Protocol

from apps.notifications.channels.message import Message
from apps.notifications.channels.outcome import Outcome
from apps.notifications.models.deliveries import ClaimedDelivery

SAFETY_SECONDS = 5.0
"""With less than this left of the lease, no irrevocable step is begun."""


class Journal(Protocol):
    """Where an attempt notes that its message is about to be sent (`delivery.journal`)."""

    def begin(self, pk: Any, fence: int) -> bool: ...


class DeliveryAttempt:
    """An attempt from the claim until it is recorded.

    `message`: the rendered message. `secrets`: its parts that no log or column may hold. `pipelined_next`: what the
    same thread most likely attempts next, for a provider that can prepare for its message. `begun`: the sender was
    allowed past the point of no return. `outcome`, `provider`, `ended_at`: the outcome, the account that it comes
    from, and when it was known, on the monotonic clock. `expires`: the end of the lease, on the same clock.
    """

    __slots__ = (
        "begun", "delivery", "ended_at", "expires", "journal", "message", "outcome", "pipelined_next", "provider",
        "secrets",
    )  # fmt: skip

    def __init__(
        self, delivery: ClaimedDelivery, *, journal: Journal | None = None, expires: float = 0.0
    ) -> None:
        self.delivery, self.journal, self.expires = delivery, journal, expires
        self.message: Message | None = None
        self.pipelined_next: DeliveryAttempt | None = None
        self.secrets: tuple[str, ...] = ()
        self.begun = False
        self.outcome: Outcome | None = None
        self.provider = ""
        self.ended_at = 0.0

    def may_commit(self) -> bool:
        """Whether the irrevocable step may begin now. Call right before it; a yes is noted in the journal."""
        self.begun = (
            time.monotonic() + SAFETY_SECONDS < self.expires
            and self.journal is not None
            and self.journal.begin(self.delivery.pk, self.delivery.fence)
        )
        return self.begun

    def ended(self, outcome: Outcome, provider: str) -> "DeliveryAttempt":
        """Set the outcome, now; returns the attempt."""
        self.outcome, self.provider, self.ended_at = outcome, provider, time.monotonic()
        # Until it is recorded, which may take as long as the database is away, a hundred messages would fill memory.
        self.message, self.secrets, self.journal, self.pipelined_next = None, (), None, None
        return self
