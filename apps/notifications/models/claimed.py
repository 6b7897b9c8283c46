"""A claimed row as its sender reads it: what a message is made of, and nothing else.

A tenth of what the model's instances would cost, for each of a hundred rows. Whatever else comes of a row than a
send is done with the instance.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from apps.notifications.models.deliveries import Delivery


@dataclass(slots=True, eq=False)
class ClaimedDelivery:
    """`waited`: seconds between the time it was wanted for and its claim. `announced`: its caller wants to be told.

    In the order of the columns that a claim returns, and `expires_at` beside them.
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
    """Of rows that the policy has to look at alone: the others have none."""

    @property
    def channel(self) -> str:
        return str(self.model.channel)

    @classmethod
    def of(cls, row: Delivery) -> Self:
        """The same of an instance that has its relations and `db_now`."""
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
