"""One broker connection for publishing, with a timeout on every wait.

Any error drops the connection without an AMQP close: a close handshake waits for a broker that may be frozen, and a
confirm that comes late would be taken for the next message's.
"""

import time
from typing import Any

import structlog
from amqp.exceptions import AMQPError, ChannelError, MessageNacked, NotFound
from celery import current_app
from kombu import Connection, Exchange, Producer
from kombu.exceptions import OperationalError

from apps.notifications.models import CALLBACKS
from apps.notifications.queue import topology

log = structlog.get_logger(__name__)

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
                exchange=topology.DIRECT.name,
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
                exchange=topology.DEAD.name,
                routing_key=topology.FAILED,
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
                exchange=topology.EVENTS.name,
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
            topology.declare(channel)
            self._producer = Producer(channel, auto_declare=False)
        return self._producer
