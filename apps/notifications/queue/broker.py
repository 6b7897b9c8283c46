"""RabbitMQ: the exchanges and queues that are declared there, a connection for publishing, and the thread that wakes
workers for committed rows.

Every wait of the connection has a timeout. Any error drops it without an AMQP close: a close handshake waits for a
broker that may be frozen, and a confirm that comes late would be taken for the next message's.

Delivery must not depend on the thread: ids that are still queued in it when the process dies, or that the broker
refuses, belong to rows that are due and unpublished, and the scheduler publishes those.
"""

import atexit
import time
from collections import defaultdict
from collections.abc import Iterable
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import structlog
from amqp.exceptions import AMQPError, ChannelError, MessageNacked, NotFound
from celery import current_app
from django.db.models.functions import Now
from kombu import Connection, Exchange, Producer, Queue
from kombu.exceptions import OperationalError

from apps.notifications.channels.logs import WAITING
from apps.notifications.models import BULK_BELOW, CALLBACKS
from notifier.channels.registry import CODES
from notifier.lib.database.recovery import DATABASE_ERRORS
from notifier.lib.threads import Loop

log = structlog.get_logger(__name__)

DIRECT = Exchange("notifications.direct", type="direct", durable=True)
DEAD = Exchange("notifications.dlx", type="direct", durable=True)
EVENTS = Exchange("notifications.events", type="topic", durable=True)
"""Webhook events, by `<organization's slug>.<channel>.<status>`; a program that wants them binds a queue."""
FAILED = "failed"

BULK_SUFFIX = ".bulk"
DELIVERY_LANES = tuple(f"{channel}{suffix}" for channel in CODES for suffix in ("", BULK_SUFFIX))
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


def lane_of(channel: str, priority: int) -> str:
    """The lane of a delivery of this channel and priority (1–10); callbacks have one of their own."""
    return f"{channel}{BULK_SUFFIX}" if priority < BULK_BELOW else str(channel)


def declare(channel: Any) -> None:
    """Create what is missing. Raises the broker's PreconditionFailed where a queue has other arguments."""
    for queue in (*WORK_QUEUES, FAILED_QUEUE):
        queue(channel).declare()
    EVENTS(channel).declare()


CONNECT_SECONDS = 0.5
ANSWER_SECONDS = 2.0
PAUSE_SECONDS = 3.0
"""How long nothing is sent to a broker after an error."""
REDECLARE_DELAY_SECONDS = 2.0
"""How long after its deletion a queue is declared again. An idle RabbitMQ 3.10 (tested) cancels the consumers of a
quorum queue within a tenth of a second; to a consumer whose cancellation has not arrived by then, the broker assigns
messages of the new queue and never delivers them."""
NO_ROUTE = 312
MESSAGE_VERSION = 1
BROKER_ERRORS = (AMQPError, MessageNacked, OperationalError, OSError)
"""Every error by which the broker, its network or kombu show that it can't be used now."""
TASK_NAME = "notifications.deliver"
CALL_BACK_TASK_NAME = "notifications.call_back"


class BrokerUnavailable(Exception):
    """The broker did not take the message in time; the row stays due and is published later."""


class Broker:
    """Publishes with confirmation. Not thread-safe: each thread that publishes has its own."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._producer: Producer | None = None
        self._rest_until = 0.0
        self.connects = 0
        """How often a connection was made: a change means that the broker may have lost its messages."""

    def wake(self, lane: str, channel: str, ids: list[str]) -> None:
        """Publish a message that wakes one of the lane's workers for these rows. Raises BrokerUnavailable."""
        self._attempt(
            lambda producer: current_app.send_task(
                CALL_BACK_TASK_NAME if channel == CALLBACKS else TASK_NAME,
                kwargs={"v": MESSAGE_VERSION, "channel": channel, "ids": ids},
                producer=producer,
                exchange=DIRECT.name,
                routing_key=lane,
                mandatory=True,
                retry=False,
                confirm_timeout=ANSWER_SECONDS,
                # A representation of the arguments in every message would double its size.
                argsrepr="",
                kwargsrepr="",
            )
        )

    def publish_dead_letter(self, body: dict[str, Any]) -> None:
        """Publish a copy of a dead letter (ids and code) to `failed`, for monitoring. Raises BrokerUnavailable."""
        self._attempt(
            lambda producer: producer.publish(
                body,
                exchange=DEAD.name,
                routing_key=FAILED,
                serializer="json",
                mandatory=True,
                retry=False,
                confirm_timeout=ANSWER_SECONDS,
            )
        )

    def publish_webhook_event(self, body: dict[str, Any], *, key: str, message_id: str) -> None:
        """Publish it to every queue that is bound to `key`; without one it is dropped. Raises BrokerUnavailable."""
        self._attempt(
            lambda producer: producer.publish(
                body,
                exchange=EVENTS.name,
                routing_key=key,
                serializer="json",
                message_id=message_id,
                type=body["type"],
                delivery_mode=Exchange.PERSISTENT_DELIVERY_MODE,
                retry=False,
                confirm_timeout=ANSWER_SECONDS,
            )
        )

    def ready_messages(self, lane: str) -> int:
        """How many messages wait in the lane's queue. Raises BrokerUnavailable."""
        return int(
            self._attempt(
                lambda producer: producer.channel.queue_declare(queue=lane, passive=True).message_count
            )
        )

    def close(self) -> None:
        """Drop the connection; the next publication opens a new one."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            connection.collect()

    def _attempt(self, work: Any) -> Any:
        if time.monotonic() < self._rest_until:
            raise BrokerUnavailable("The broker failed a moment ago.")
        for last in (False, True):
            try:
                return work(self._ready_producer())
            except ChannelError as error:
                self.close()
                # A queue or exchange is gone: the broker was wiped. The next connection declares them again.
                if last or error.reply_code not in (NO_ROUTE, NotFound.code):
                    raise self._rest(error) from error
                log.warning("topology_missing", reason=str(error))
                time.sleep(REDECLARE_DELAY_SECONDS)
            except BROKER_ERRORS as error:
                self.close()
                raise self._rest(error) from error
        raise AssertionError("unreachable")

    def _rest(self, error: Exception) -> BrokerUnavailable:
        self._rest_until = time.monotonic() + PAUSE_SECONDS
        log.warning("broker_unavailable", reason=f"{type(error).__name__}: {error}")
        return BrokerUnavailable(str(error))

    def _ready_producer(self) -> Producer:
        if self._producer is None:
            self._connection = current_app.connection_for_write(
                connect_timeout=CONNECT_SECONDS,
                transport_options={
                    **current_app.conf.broker_transport_options,
                    "confirm_publish": True,
                    "max_retries": 0,
                    "read_timeout": ANSWER_SECONDS,
                    "write_timeout": ANSWER_SECONDS,
                },
            )
            # `connect()` would sleep 2 s and try again.
            self._connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
            self.connects += 1
            channel = self._connection.channel()
            declare(channel)
            self._producer = Producer(channel, auto_declare=False)
        return self._producer


BATCH_SECONDS = 0.01
"""Between two publications: a single id goes out at once, those of a flood go out together."""
RECORD_EVERY_SECONDS = 0.4


class Wake(NamedTuple):
    """A row to publish. `fence` is the row's at that moment: where a sender has put the row
    back before the broker's confirmation was recorded, that must not mark the row as published."""

    channel: str
    priority: int
    id: str
    fence: int


Item = list[Wake] | dict[str, Any] | None
"""Rows, a dead letter's copy, or None, which only wakes the loop."""
Confirmed = dict[tuple[str, int], list[str]]
"""Ids by channel and fence."""


class Publisher:
    """Takes work from any thread; a loop in a thread of its own, started with the first item, publishes it."""

    def __init__(self) -> None:
        self._work: SimpleQueue[Item] = SimpleQueue()
        self._loop = Loop(
            "publisher",
            self._turn,
            begins=self._begin,
            ends=self._end,
            wake=lambda: self._work.put(None),
        )
        self._begin()

    def wake(self, rows: Iterable[Wake]) -> None:
        """Publish these rows' ids soon. Call after the commit."""
        self._work.put(list(rows))
        self._loop.start()

    def publish_dead_letter(self, body: dict[str, Any]) -> None:
        """Copy a dead letter's ids and code to `failed` soon. Call after the commit."""
        self._work.put(body)
        self._loop.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Publish and record what is queued, within `timeout` seconds, and disconnect. Later work starts anew."""
        self._loop.stop(timeout)

    def _begin(self) -> None:
        # In the loop's own thread: a forked child must not use its parent's connection.
        self._broker = Broker()
        self._confirmed: Confirmed = defaultdict(list)
        self._record_at = self._published_at = 0.0

    def _turn(self) -> None:
        timeout = max(0.0, self._record_at - time.monotonic()) if self._confirmed else None
        self._publish(self._batch(timeout, self._published_at + BATCH_SECONDS))
        if self._confirmed and time.monotonic() >= self._record_at:
            self._record()

    def _publish(self, batch: list[Item]) -> None:
        self._published_at = time.monotonic()
        if not self._confirmed:
            # Not at once: an idle worker has claimed the row by then, without waiting for a lock, and the record is
            # not needed any more.
            self._record_at = self._published_at + RECORD_EVERY_SECONDS
        for wakes in _messages(batch):
            lane = lane_of(wakes[0].channel, wakes[0].priority)
            ids = [wake.id for wake in wakes]
            try:
                self._broker.wake(lane, wakes[0].channel, ids)
            except BrokerUnavailable:
                continue
            for wake in wakes:
                self._confirmed[wake.channel, wake.fence].append(wake.id)
        for body in (item for item in batch if isinstance(item, dict)):
            try:
                self._broker.publish_dead_letter(body)
            except BrokerUnavailable:
                # The DeadLetter row is stored; the copy only informs those who watch the queue.
                log.info("dead_letter_copy_dropped", delivery_id=body.get("delivery_id"))

    def _record(self) -> None:
        confirmed, self._confirmed = self._confirmed, defaultdict(list)
        try:
            _record_published(confirmed)
        except DATABASE_ERRORS as error:
            # The scheduler publishes an unrecorded row again, which costs a look at it. Wake-ups must not wait.
            log.warning("confirmations_not_recorded", reason=str(error))

    def _end(self) -> None:
        while batch := self._batch(0.0, time.monotonic()):
            self._publish(batch)
        if self._confirmed:
            self._record()
        self._broker.close()

    def _batch(self, timeout: float | None, ends: float) -> list[Item]:
        """What is queued, and what arrives until `ends`; empty if nothing comes for `timeout` seconds."""
        try:
            batch = [self._work.get(timeout=timeout)]
        except Empty:
            return []
        # One sleep instead of a wake-up for every row: this thread takes CPU time from those that answer requests.
        time.sleep(max(0.0, ends - time.monotonic()))
        while len(batch) < 1000:
            try:
                batch.append(self._work.get_nowait())
            except Empty:
                break
        return batch


def _messages(batch: list[Item]) -> Iterable[list[Wake]]:
    lanes: dict[str, list[Wake]] = defaultdict(list)
    for item in batch:
        for wake in item if isinstance(item, list) else ():
            lanes[lane_of(wake.channel, wake.priority)].append(wake)
    for lane, wakes in lanes.items():
        size = ids_per_message(lane)
        for start in range(0, len(wakes), size):
            yield wakes[start : start + size]


def _record_published(confirmed: Confirmed) -> None:
    for (channel, fence), ids in confirmed.items():
        rows = WAITING[channel].objects.filter(pk__in=ids, fence=fence, published_at=None)
        rows.update(published_at=Now())


publisher = Publisher()
atexit.register(publisher.stop)
