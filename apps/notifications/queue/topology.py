"""The broker's exchanges and queues. Only code declares them, so that every process agrees on them."""

from typing import Any

from kombu import Exchange, Queue

from apps.notifications.models import BULK_BELOW, CALLBACKS
from apps.users.channels import Channel

DIRECT = Exchange("notifications.direct", type="direct", durable=True)
DEAD = Exchange("notifications.dlx", type="direct", durable=True)
EVENTS = Exchange("notifications.events", type="topic", durable=True)
"""Webhook events, by `<organization's slug>.<channel>.<status>`; a program that wants them binds a queue."""
FAILED = "failed"

BULK_SUFFIX = ".bulk"
DELIVERY_LANES = tuple(f"{channel}{suffix}" for channel in Channel.values for suffix in ("", BULK_SUFFIX))
LANES = (*DELIVERY_LANES, CALLBACKS)
"""A lane is a queue of wake-ups; its name is the queue's and the routing key's."""

_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    # A message that the queue drops (rejected or poisoned) is copied to `failed` first.
    "x-dead-letter-exchange": DEAD.name,
    "x-dead-letter-routing-key": FAILED,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
    "x-delivery-limit": 100,
}
# No length limit and no TTL anywhere: either would drop messages in silence.
WORK_QUEUES = tuple(
    Queue(name, exchange=DIRECT, routing_key=name, durable=True, queue_arguments=_ARGUMENTS) for name in LANES
)
FAILED_QUEUE = Queue(
    FAILED,
    exchange=DEAD,
    routing_key=FAILED,
    durable=True,
    queue_arguments={"x-queue-type": "quorum"},
)


BATCH_SIZE = 100
"""Rows that a worker claims at once."""
SMALL_BATCH = 10
"""Small enough that a burst spreads over the slots of all workers, which take a message each."""


def ids_per_message(lane: str) -> int:
    """How many rows a message of this lane names at most."""
    if lane == CALLBACKS:
        # A receiver may take 15 s: no other row may wait behind it.
        return 1
    return BATCH_SIZE if is_bulk(lane) else SMALL_BATCH


def is_bulk(lane: str) -> bool:
    """Whether this is a channel's bulk lane."""
    return lane.endswith(BULK_SUFFIX)


def lane(channel: str, priority: int) -> str:
    """The lane of a delivery of this channel and priority (1–10); callbacks have one of their own."""
    return f"{channel}{BULK_SUFFIX}" if priority < BULK_BELOW else str(channel)


def declare(channel: Any) -> None:
    """Create what is missing. Raises the broker's PreconditionFailed where a queue has other arguments."""
    for queue in (*WORK_QUEUES, FAILED_QUEUE):
        queue(channel).declare()
    EVENTS(channel).declare()
