"""The broker: it answers, its queues are the ones we declare, and somebody reads each of them."""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amqp.exceptions import AccessRefused, NotAllowed, NotFound, PreconditionFailed
from django.conf import settings
from kombu import Connection

from apps.admin.doctor.findings import Finding, message_of, ok, skipped, wrong
from apps.notifications.queue import topology
from apps.notifications.queue.broker import BROKER_ERRORS

CONNECT_SECONDS = 2
ANSWER_SECONDS = 3
OLDEST = (3, 10)
"""The first RabbitMQ whose quorum queues dead-letter at least once."""


@contextmanager
def _connected() -> Iterator[Any]:
    # A connection of its own: what it finds must not depend on one that a fault may have frozen.
    connection = Connection(
        settings.BROKER_URL,
        connect_timeout=CONNECT_SECONDS,
        transport_options={"read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS},
    )
    try:
        connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        yield connection
    finally:
        connection.collect(socket_timeout=0.2)


def answers() -> list[Finding]:
    if settings.BROKER_URL.startswith("memory"):
        return [skipped("The broker is in the memory of another process, and can't be asked from here.")]
    try:
        with _connected() as connection:
            where = f"{connection.hostname}:{connection.port}"
            version = str(connection.connection.server_properties.get("version", ""))
    except BROKER_ERRORS as error:
        return [_refused(error)]
    if [int(part) for part in re.findall(r"\d+", version)[:2]] < list(OLDEST):
        return [wrong(f"The broker at {where} is RabbitMQ {version}.", "Use RabbitMQ 3.10 or newer.")]
    return [ok(f"The broker answers at {where} (RabbitMQ {version}).")]


def _refused(error: Exception) -> Finding:
    parts = Connection(settings.BROKER_URL)
    where, message = f"{parts.hostname}:{parts.port or 5672}", message_of(error)
    if isinstance(error, AccessRefused):
        return wrong(
            f"The broker at {where} refuses the user name {parts.userid} or its password.",
            "Correct both in BROKER_URL; RabbitMQ takes `guest` from its own machine only.",
        )
    if isinstance(error, NotAllowed):
        return wrong(
            f"The broker at {where} refuses the virtual host {parts.virtual_host}: {message}.",
            "Create it and give the user its rights, or correct the end of BROKER_URL (`/` is written `//`).",
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return wrong(
            f"The broker's certificate is not trusted: {message}.",
            "Install its authority among the system's, or correct the host name in BROKER_URL.",
        )
    return wrong(
        f"The broker at {where} can't be reached: {message}.",
        "Start RabbitMQ, or correct the host and port in BROKER_URL. What is accepted meanwhile waits.",
    )


def queues() -> list[Finding]:
    with _connected() as connection:
        entities = (
            topology.DIRECT,
            topology.DEAD,
            topology.EVENTS,
            *topology.WORK_QUEUES,
            topology.FAILED_QUEUE,
        )
        errors = [error for entity in entities if (error := _difference(connection, entity))]
    return errors or [ok("The exchanges and queues are declared as this release declares them.")]


def _difference(connection: Any, entity: Any) -> Finding | None:
    """Declared again with our arguments, which changes nothing where it exists."""
    kind, declare = (
        ("queue", "queue_declare") if hasattr(entity, "queue_declare") else ("exchange", "declare")
    )
    try:
        if not _exists(connection, entity, declare):
            return wrong(
                f"The {kind} {entity.name} does not exist.",
                "Start the tick or a worker: the first of them declares it. If they run, look at their log.",
            )
        getattr(entity(connection.channel()), declare)()
    except PreconditionFailed as error:
        return wrong(
            f"The {kind} {entity.name} was declared with other arguments: {message_of(error)}.",
            f"Stop the processes, delete the {kind} in RabbitMQ and start them again: "
            "they declare it anew, and the tick publishes what was in it.",
        )
    except AccessRefused as error:
        return wrong(
            f"The broker's user may not declare the {kind} {entity.name}: {message_of(error)}.",
            "Give it the rights to configure, write and read in its virtual host.",
        )
    return None


def _exists(connection: Any, entity: Any, declare: str) -> bool:
    try:
        getattr(entity(connection.channel()), declare)(passive=True)
    except NotFound:
        return False
    return True


def workers() -> list[Finding]:
    with _connected() as connection:
        return [_consumed(connection, queue) for queue in topology.WORK_QUEUES]


def _consumed(connection: Any, queue: Any) -> Finding:
    try:
        declared = queue(connection.channel()).queue_declare(passive=True)
    except NotFound:
        return skipped(f"The lane {queue.name} has no queue yet.")
    if declared.consumer_count:
        return ok(
            f"The lane {queue.name} has {declared.consumer_count} consumers; {declared.message_count} wait in it."
        )
    return wrong(
        f"No worker consumes the lane {queue.name}; {declared.message_count} messages wait in it.",
        f"Start a worker with -Q {queue.name}, or look at the log of the one that should run.",
    )
