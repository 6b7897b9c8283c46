"""The same work with millions of rows in the tables and with none, and a worker's memory after long work."""

import json
import time

from django.db import connection

from benchmarks.bulk import deliver
from benchmarks.stage import Stage, stat_of, wait_for_messages
from benchmarks.table import Row
from benchmarks.world import batches, body, forget, post_all

LISTS = 10
"""How often the admin's pages are read for one figure."""
# Time-ordered ids, as the product's are: old rows have old ids.
_ID = """(lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
  || '8' || substr(md5(random()::text), 1, 15))::uuid"""
_GROW = f"""
WITH given AS (
  SELECT n, now() - n * interval '1 second' AS at FROM generate_series(%(first)s, %(last)s) AS n
), made AS (
  INSERT INTO notifications_notification
    (id, organization_id, request_id, body_hash, template_version_id, variables, metadata, priority, live, for_user,
     correlation_id, requested_by, callback_url, created_at)
  SELECT {_ID.format(at="at")}, %(organization)s, 'old-' || n, repeat('0', 64), %(version)s, repeat('x', 140), '{{}}',
     4, true, false, 'old-' || n, 'bench', '', at
  FROM given
  RETURNING id, organization_id, created_at
), sent AS (
  INSERT INTO notifications_emaillog
    (id, notification_id, organization_id, status, due_at, fence, claimed_by, created_at, reason, recipient_hash,
     language, priority, deadline_at, epoch, attempts, resends, provider, provider_message_id, error_code,
     error_detail, sent_at, finished_at, email, published_at)
  SELECT {_ID.format(at="created_at")}, id, organization_id, 'sent', created_at, 1, 'old', created_at, '',
     md5(id::text), 'en', 4, created_at + interval '1 day', 0, 1, 0, 'smtp', left(id::text, 13), '', '', created_at,
     created_at, 'somebody@example.com', created_at
  FROM made
  RETURNING id, notification_id, created_at
)
INSERT INTO notifications_event (id, notification_id, delivery_id, channel, kind, at, data)
SELECT {_ID.format(at="created_at")}, notification_id, id, 'email', 'sent', created_at, '{{"provider": "smtp"}}'
FROM sent
"""


def measure(stage: Stage, key: str, *, rows: int) -> list[Row]:
    repeats = 1 if stage.quick else 3
    found = {"empty": _work(stage, key, repeats)}
    _grow(rows)
    found["grown"] = _work(stage, key, repeats)
    forget()
    return [
        Row(
            f"{name}, beside {rows:,} rows", found["grown"][name], "beside none", found["empty"][name], 1.2,
            unit=unit, at_most=True,
        )
        for name, unit in (("bulk, a thousand", "s"), ("a single accept", "ms"), ("the admin's lists", "s"))
    ]  # fmt: skip


def _work(stage: Stage, key: str, repeats: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {"bulk, a thousand": [], "a single accept": [], "the admin's lists": []}
    count = 1_000 if stage.quick else 10_000
    for _ in range(repeats):
        _forget_new()
        with stage.smtp_sink() as sink:
            times["bulk, a thousand"].append(1000 / _deliver(stage, key, sink, count))
        with stage.wsgi() as (host, _pid):
            bodies = [json.dumps(body(n)).encode() for n in range(300)]
            post_all(host, "/api/v1/notifications/", bodies[:50], key=key, connections=4)
            began = time.monotonic()
            post_all(host, "/api/v1/notifications/", bodies[50:], key=key, connections=4)
            times["a single accept"].append((time.monotonic() - began) / 250 * 1000)
        times["the admin's lists"].append(_lists())
    return times


def _deliver(stage: Stage, key: str, sink: object, count: int) -> float:
    from unittest import mock

    # The existing rows stay: they are what this measures.
    with mock.patch("benchmarks.bulk.forget"), mock.patch("benchmarks.bulk.settled"):
        return deliver(stage, key, sink, count).rate  # type: ignore[arg-type]


def _forget_new() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM notifications_event WHERE notification_id IN"
            " (SELECT id FROM notifications_notification WHERE requested_by <> 'bench')"
        )
        for table in ("emaillog", "pushlog"):
            cursor.execute(f"DELETE FROM notifications_{table} WHERE claimed_by <> 'old'")  # noqa: S608 - our own names
        cursor.execute("DELETE FROM notifications_notification WHERE requested_by <> 'bench'")
        cursor.execute("VACUUM ANALYZE")


def _grow(rows: int) -> None:
    from apps.templates.models import TemplateVersion
    from apps.users.models import Organization

    values = {
        "organization": Organization.objects.get(slug="bench").pk,
        "version": TemplateVersion.objects.get().pk,
    }
    for first in range(1, rows + 1, 500_000):
        last = min(first + 499_999, rows)
        with connection.cursor() as cursor:
            cursor.execute(_GROW, {**values, "first": first, "last": last})
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _lists() -> float:
    """Seconds for the admin's pages of notifications, emails and events."""
    from django.test import Client

    from apps.users.models import User

    person, _ = User.objects.get_or_create(
        email="bench@example.com",
        defaults={"is_staff": True, "is_superuser": True, "organization_id": _organization()},
    )
    client = Client(HTTP_HOST="localhost")
    client.force_login(person)
    pages = [f"/admin/notifications/{name}/" for name in ("notification", "emaillog")]
    for page in pages:
        client.get(page)
    began = time.monotonic()
    for page in pages * LISTS:
        answer = client.get(page)
        if answer.status_code != 200:
            raise RuntimeError(f"{page}: {answer.status_code}")
    return (time.monotonic() - began) / LISTS


def _organization() -> object:
    from apps.users.models import Organization

    return Organization.objects.get(slug="bench").pk


def measure_memory(stage: Stage, key: str) -> list[Row]:
    """A worker's resident memory after its first thousand sends and after many more."""
    first, many = (200, 2_000) if stage.quick else (1_000, 200_000)
    forget()
    with (
        stage.smtp_sink() as sink,
        stage.wsgi() as (host, _pid),
        stage.workers(
            "email.bulk", processes=1, threads=2, EMAIL_PROVIDER_URL=f"smtp://127.0.0.1:{sink.port}/?tls=none"
        ) as pids,
    ):
        sizes = []
        for wanted in (first, many):
            for part in batches(list(range(wanted - sink.count())), 20_000):
                bodies = [
                    json.dumps({"notifications": [body(n) for n in some]}).encode()
                    for some in batches(part, 1000)
                ]
                post_all(host, "/api/v1/notifications/batch/", bodies, key=key, connections=2)
            wait_for_messages(sink.count, wanted, {})
            sizes.append(_resident(pids[0]))
    return [
        Row(
            f"a worker's memory after {many:,} sends", [sizes[1] / 2**20], f"after {first:,}", [sizes[0] / 2**20],
            1.1, unit="MiB", at_most=True,
        )
    ]  # fmt: skip


def _resident(pid: int) -> float:
    from pathlib import Path

    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    assert stat_of(pid)[1]  # noqa: S101 - it lives
    return float(pages * 4096)
