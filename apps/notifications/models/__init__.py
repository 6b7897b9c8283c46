"""The models: notifications, their deliveries, callbacks, and the records that are kept about them.

May import `errors` of this app, the models of `templates` and `users`, and `notifier.lib`.
Must not import DRF, nor call a provider or a broker; status changes are made by `transitions`.
"""

from apps.notifications.models.deliveries import (
    BULK_BELOW,
    SELDOM,
    Delivery,
    Notification,
    summary,
)
from apps.notifications.models.records import (
    CircuitChange,
    DeadLetter,
    Event,
    IdempotencyRecord,
    ProviderState,
    Suppression,
    TickLease,
)
from apps.notifications.models.tracking_events import ImapFolder, ProviderEvent, UnreadEvent
from apps.notifications.models.waiting import FREE, Waiting, from_now
from apps.notifications.models.webhooks import (
    CALLBACKS,
    EXCHANGE,
    Callback,
    CallbackAttempt,
    WebhookEndpoint,
)

__all__ = [
    "BULK_BELOW",
    "CALLBACKS",
    "EXCHANGE",
    "FREE",
    "SELDOM",
    "Callback",
    "CallbackAttempt",
    "CircuitChange",
    "DeadLetter",
    "Delivery",
    "Event",
    "IdempotencyRecord",
    "ImapFolder",
    "Notification",
    "ProviderEvent",
    "ProviderState",
    "Suppression",
    "TickLease",
    "UnreadEvent",
    "Waiting",
    "WebhookEndpoint",
    "from_now",
    "summary",
]
