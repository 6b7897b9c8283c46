"""The broker: reachable, its queues declared as this release declares them, each with a consumer."""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amqp.exceptions import AccessRefused, NotAllowed, NotFound, PreconditionFailed
from django.conf import settings
from kombu import Connection

from apps.admin.doctor.findings import Finding, message_of, ok, skipped, wrong
from apps.notifications.queue import broker
from apps.notifications.queue.broker import BROKER_ERRORS

CONNECT_SECONDS = 2
ANSWER_SECONDS = 3
OLDEST = (3, 10)
"""The first RabbitMQ version whose quorum queues support at-least-once dead-lettering."""


@contextmanager
def _connected() -> Iterator[Any]:
    # A new connection: the result must not depend on a shared one that may hang.
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
        return [skipped("The broker is in another process's memory and can't be checked from here.")]
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
            "Correct both in BROKER_URL; RabbitMQ accepts `guest` from localhost only.",
        )
    if isinstance(error, NotAllowed):
        return wrong(
            f"The broker at {where} refuses the virtual host {parts.virtual_host}: {message}.",
            "Create it and grant the user permissions on it, or correct the end of BROKER_URL (`/` is written `//`).",
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return wrong(
            f"The broker's certificate is not trusted: {message}.",
            "Add its CA to the system's trust store, or correct the host name in BROKER_URL.",
        )
    return wrong(
        f"The broker at {where} can't be reached: {message}.",
        "Start RabbitMQ, or correct the host and port in BROKER_URL. Notifications accepted meanwhile wait.",
    )


def queues() -> list[Finding]:
    with _connected() as connection:
        entities = (
            broker.DIRECT,
            broker.DEAD,
            broker.EVENTS,
            *broker.WORK_QUEUES,
            broker.FAILED_QUEUE,
        )
        errors = [error for entity in entities if (error := _difference(connection, entity))]
    return errors or [ok("The exchanges and queues are declared as this release declares them.")]


def _difference(connection: Any, entity: Any) -> Finding | None:
    """Declares the entity with our arguments, which changes nothing where it exists with the same ones."""
    kind, declare = (
        ("queue", "queue_declare") if hasattr(entity, "queue_declare") else ("exchange", "declare")
    )
    try:
        if not _exists(connection, entity, declare):
            return wrong(
                f"The {kind} {entity.name} does not exist.",
                "Start manage.py tick or a worker: either declares it. If they run, check their logs.",
            )
        getattr(entity(connection.channel()), declare)()
    except PreconditionFailed as error:
        return wrong(
            f"The {kind} {entity.name} was declared with other arguments: {message_of(error)}.",
            f"Stop the processes, delete the {kind} in RabbitMQ and start them again: "
            "they declare it again, and the scheduler republishes what was in it.",
        )
    except AccessRefused as error:
        return wrong(
            f"The broker's user may not declare the {kind} {entity.name}: {message_of(error)}.",
            "Grant it configure, write and read permissions in its virtual host.",
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
        return [_consumed(connection, queue) for queue in broker.WORK_QUEUES]


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
        f"Start a worker with -Q {queue.name}, or check the log of the one that should run.",
    )
