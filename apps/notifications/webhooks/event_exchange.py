"""Publishing webhook events to the broker's topic exchange, for programs that bind their own queues to it."""

import threading

from apps.notifications.models import Callback
from apps.notifications.queue.broker import Broker

_broker = Broker()
_lock = threading.Lock()
"""A Broker is not thread-safe."""


def publish(row: Callback) -> None:
    """Publish the webhook event and wait for the broker's confirmation. Raises BrokerUnavailable."""
    data = row.payload["data"]
    key = f"{row.organization.slug}.{data['channel']}.{data['status']}"
    with _lock:
        _broker.publish_webhook_event(row.payload, key=key, message_id=str(row.pk))


def close() -> None:
    """Close the broker connection; the next publication opens a new one."""
    with _lock:
        _broker.close()
