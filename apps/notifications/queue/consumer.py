"""Celery's consumer, with what the stock one lacks; checked against Celery 5.7.

- Messages that can't be decoded, or name no task of ours, are rejected, so that the queue's dead-letter
  exchange keeps them (stock acknowledges an undecodable one: it is gone), and are logged without their body.
- A queue that was deleted is declared again once all its consumers have been cancelled.
- A lost broker is tried again every 0.5–2 s (stock backs off to 30 s).
- The delayed-delivery queues are left out: nothing here waits in the broker.
"""

import hashlib
import time
from typing import Any

import structlog
from amqp.exceptions import ConsumerCancelled
from celery.worker.consumer import Consumer as StockConsumer
from celery.worker.state import maybe_shutdown

from apps.notifications.queue.broker import REDECLARE_DELAY_SECONDS

log = structlog.get_logger(__name__)


class Consumer(StockConsumer):  # type: ignore[misc]
    """The consumer of a worker process; Celery makes it (`worker_consumer`)."""

    class Blueprint(StockConsumer.Blueprint):  # type: ignore[misc]
        default_steps = [
            step
            for step in StockConsumer.Blueprint.default_steps
            if not str(step).endswith(":DelayedDelivery")
        ]

    def ensure_connected(self, conn: Any) -> Any:
        def log_retry(error: Exception, wait: float) -> None:
            log.warning("broker_unavailable", reason=f"{type(error).__name__}: {error}", retry_in=wait)

        connected = conn.ensure_connection(
            log_retry, None, interval_start=0.5, interval_step=0.5, interval_max=2, callback=maybe_shutdown
        )
        self.first_connection_attempt = False
        return connected

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        super().on_connection_error_after_connected(exc)
        if isinstance(exc, ConsumerCancelled):
            # A queue was deleted, and reconnecting declares it: not before its other consumers were cancelled.
            time.sleep(REDECLARE_DELAY_SECONDS)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        self._refuse("undecodable_message", message, exc)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        self._refuse("unknown_message", message, None)

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        self._refuse("unknown_task", message, exc)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        self._refuse("invalid_task", message, exc)

    def _refuse(self, event: str, message: Any, error: Exception | None) -> None:
        raw = message.body if isinstance(message.body, bytes) else str(message.body).encode()
        log.error(
            event,
            error=type(error).__name__ if error else "",
            size=len(raw),
            sha256=hashlib.sha256(raw).hexdigest(),
            queue=(message.delivery_info or {}).get("routing_key", ""),
        )
        message.reject()
