"""The organization, template and API key of the benchmarks, and the functions that post for them."""

import http.client
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg

from benchmarks.stage import Stage

PARAGRAPH = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut."
HTML = (
    "<!doctype html>\n<html><body>\n<h1>Hello {{ name }}</h1>\n"
    + f"<p>{PARAGRAPH}</p>\n" * 28
    + "<p>Your order {{ order }} is on its way.</p>\n</body></html>\n"
)
TEXT = "Hello {{ name }},\n\n" + f"{PARAGRAPH}\n" * 14 + "\nYour order {{ order }} is on its way.\n"
"""Together with the headers a message of about 5 KB."""


def ready_message() -> bytes:
    """That message's bytes, put together without a library."""
    html, text = (
        source.replace("{{ name }}", "Ada").replace("{{ order }}", "A-1") for source in (HTML, TEXT)
    )
    return (
        "From: notifier@sender.test\r\nTo: a@example.com\r\nSubject: Order A-1\r\n"
        'Content-Type: multipart/alternative; boundary="b"\r\n\r\n'
        f"--b\r\nContent-Type: text/plain\r\n\r\n{text}\r\n--b\r\nContent-Type: text/html\r\n\r\n{html}\r\n--b--\r\n"
    ).replace("\r\n", "\n").replace("\n", "\r\n").encode()  # fmt: skip


def set_up(stage: Stage) -> str:
    """Create the database with an organization in it; returns an API key."""
    with psycopg.connect(f"{stage.server}/postgres", autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{stage.database}"')
    import django

    django.setup()
    from django.core.management import call_command

    import celery_app  # noqa: F401 - tasks and topology

    call_command("migrate", verbosity=0)
    from apps.templates.authoring.versions import add_version
    from apps.templates.models import Template
    from apps.users.models import ApiKey, Organization
    from apps.users.models.scopes import Scope

    organization = Organization.objects.create(slug="bench", name="Bench")
    contents: list[dict[str, Any]] = [
        {"channel": "email", "language": "en", "subject": "Order {{ order }}", "html": HTML, "text": TEXT},
        {"channel": "push", "language": "en", "title": "Order {{ order }}", "body": "Hello {{ name }}"},
    ]
    template = Template.objects.create(organization=organization, code="order", name="Order")
    add_version(template=template, contents=contents, active=True)
    _, plain = ApiKey.objects.issue(organization=organization, name="bench", scopes=list(Scope.values))
    return plain


def tear_down(stage: Stage) -> None:
    from django.db import connection

    connection.close()
    if (pool := getattr(connection, "pool", None)) is not None:
        pool.close()
    with psycopg.connect(f"{stage.server}/postgres", autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{stage.database}" WITH (FORCE)')


def forget() -> None:
    """Delete all notifications and purge their wake-up messages, as at the beginning."""
    from celery import current_app
    from django.db import connection

    from apps.notifications.queue import broker

    with current_app.connection_for_write() as connected, connected.channel() as channel:
        broker.declare(channel)
        for lane in broker.LANES:
            channel.queue_purge(lane)

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE notifications_notification CASCADE")
        cursor.execute("TRUNCATE notifications_idempotencyrecord")
        cursor.execute("VACUUM ANALYZE")


def body(number: int, channel: str = "email") -> dict[str, Any]:
    recipient = {"email": f"person{number}@example.com"}
    if channel == "push":
        recipient = {"device_token": f"device-token-of-somebody-{number:09}-{'x' * 120}"}
    return {
        "recipient": recipient,
        "channels": [channel],
        "template_code": "order",
        "variables": {"name": f"Person {number}", "order": f"A-{number}"},
        "request_id": f"{secrets.token_hex(8)}-{number}",
    }


def post_batches(host: str, key: str, count: int, channel: str = "email") -> float:
    """Post `count` notifications, a thousand a request; returns how many a second were accepted."""
    bodies = [
        json.dumps(
            {"notifications": [body(n, channel) for n in range(start, min(start + 1000, count))]}
        ).encode()
        for start in range(0, count, 1000)
    ]
    began = time.monotonic()
    post_all(host, "/api/v1/notifications/batch/", bodies, key=key, connections=4)
    return count / (time.monotonic() - began)


def post_all(
    host: str, path: str, bodies: list[bytes], *, key: str = "", connections: int = 16, pace: float = 0.0
) -> list[float]:
    """Post every body over persistent connections, `pace` seconds apart if given; returns each response's seconds.

    Raises RuntimeError for a response that isn't 2xx.
    """
    taken, waiting, errors = [0.0] * len(bodies), iter(enumerate(bodies)), []
    lock = threading.Lock()
    headers = {"Content-Type": "application/json", **({"Authorization": f"Api-Key {key}"} if key else {})}

    def work() -> None:
        connection = http.client.HTTPConnection(host, timeout=60)
        while not errors:
            with lock:
                number, octets = next(waiting, (-1, b""))
                if pace and number >= 0:
                    time.sleep(pace)
            if number < 0:
                break
            began = time.perf_counter()
            connection.request("POST", path, octets, headers)
            answer = connection.getresponse()
            content = answer.read()
            taken[number] = time.perf_counter() - began
            if answer.status // 100 != 2:
                errors.append(f"{answer.status}: {content[:300]!r}")
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise RuntimeError(errors[0])
    return taken


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def interleaved(repeats: int, *measures: Callable[[], Any]) -> list[list[Any]]:
    """Run every measure in turn, `repeats` times: a slow phase of the machine then affects all of them."""
    found: list[list[Any]] = [[] for _ in measures]
    for _ in range(repeats):
        for results, measure in zip(found, measures, strict=True):
            results.append(measure())
    return found


def batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
