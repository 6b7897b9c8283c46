"""Events to the broker's topic exchange, for programs that bind a queue of their own to it."""

import threading

from apps.notifications.models import Callback
from apps.notifications.queue.broker import Broker

_broker = Broker()
_lock = threading.Lock()
"""A broker's connection is one thread's at a time."""


def publish(row: Callback) -> None:
    """Returns once the broker has confirmed it. Raises BrokerUnavailable."""
    data = row.payload["data"]
    key = f"{row.organization.slug}.{data['channel']}.{data['status']}"
    with _lock:
        _broker.publish_webhook_event(row.payload, key=key, message_id=str(row.pk))


def close() -> None:
    with _lock:
        _broker.close()
