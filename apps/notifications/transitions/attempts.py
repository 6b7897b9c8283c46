"""One attempt to send one claimed delivery: the claim, the message and the outcome."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, Self

from apps.notifications.channels.outcome import Message, Outcome
from apps.notifications.models.deliveries import Delivery

SAFETY_SECONDS = 5.0
"""With less than this left of the lease, no irrevocable step is begun."""


class Journal(Protocol):
    """Where an attempt notes that its message is about to be sent (`delivery.journal`)."""

    def begin(self, pk: Any, fence: int) -> bool: ...


@dataclass(slots=True, eq=False)
class ClaimedDelivery:
    """A claimed delivery with the columns that rendering and sending need, and no others.

    It costs a tenth of a model instance, for each of a hundred rows in a batch. Everything but a send works on the
    instance. `waited`: seconds from acceptance, or the scheduled time, to the claim. `announced`: it has a
    `callback_url`.

    The fields are in the order of the columns that a claim returns; `expires_at` is not among them.
    """

    model: type[Delivery]
    pk: Any
    notification_id: Any
    organization_id: Any
    fence: int
    attempts: int
    priority: int
    epoch: int
    language: str
    recipient: str
    variables: dict[str, Any]
    version_id: Any
    user_id: Any
    category_id: Any
    mandatory: bool
    live: bool
    correlation_id: str
    default_language: str
    waited: float
    announced: bool
    category_code: str
    organization_slug: str
    expires_at: datetime | None = None
    """Set only for rows that the eligibility check reads one by one; the others have none."""

    @property
    def channel(self) -> str:
        return str(self.model.channel)

    @classmethod
    def of(cls, row: Delivery) -> Self:
        """From an instance that has its relations loaded and `db_now` annotated."""
        notification = row.notification
        category = notification.template_version.template.category
        wanted_at = notification.scheduled_at or notification.created_at
        return cls(
            model=type(row),
            pk=row.pk,
            notification_id=row.notification_id,
            organization_id=row.organization_id,
            fence=row.fence,
            attempts=row.attempts,
            priority=row.priority,
            epoch=row.epoch,
            language=row.language,
            recipient=row.recipient,
            variables=notification.variables,
            version_id=notification.template_version_id,
            user_id=notification.user_id,
            category_id=category.pk if category else None,
            mandatory=category is not None and category.mandatory,
            live=notification.live,
            correlation_id=notification.correlation_id,
            default_language=row.organization.default_language,
            waited=(row.db_now - wanted_at).total_seconds(),  # type: ignore[attr-defined]
            announced=bool(notification.callback_url),
            category_code=category.code if category else "",
            organization_slug=row.organization.slug,
            expires_at=notification.expires_at,
        )


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
