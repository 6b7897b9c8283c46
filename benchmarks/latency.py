"""How long a transactional email takes from acceptance to the relay's 250, alone and beside a flood."""

import json
import time
from contextlib import ExitStack

from benchmarks.stage import Stage
from benchmarks.table import Row
from benchmarks.world import body, forget, percentile, post_all, post_batches

EVERY = 0.04
"""Seconds between two posts."""


def measure(stage: Stage, key: str) -> list[Row]:
    count, flood = (50, 2_000) if stage.quick else (400, 100_000)
    with stage.smtp_sink() as sink:
        url = f"smtp://127.0.0.1:{sink.port}/?tls=none"
        idle = _tail(stage, key, url, count, 0, url)
        beside = _tail(stage, key, url, count, flood, url)
        # Half of what the bulk workers reach unpaced, each second.
        paced = _tail(stage, key, url, count, flood, f"{url}&rate={max(10, int(beside[2] / 2))}")
    rows = [
        Row(
            "transactional p99 beside a flood",
            [beside[1]],
            "one second",
            [1000.0],
            1.0,
            unit="ms",
            at_most=True,
        ),
        Row(
            "transactional p99, flood at half pace",
            [paced[1]],
            "idle p99",
            [idle[1]],
            3.0,
            unit="ms",
            at_most=True,
        ),
        Row("transactional p50, idle and warm", [idle[0]], "10 ms", [10.0], 1.0, unit="ms", at_most=True),
    ]
    rows[0].notes.append(f"The flood ran at {beside[2]:,.0f} a second, and paced at {paced[2]:,.0f}.")
    return rows


def _tail(
    stage: Stage, key: str, url: str, count: int, flood: int, bulk_url: str
) -> tuple[float, float, float]:
    """(p50, p99) in ms, and the flood's rate a second, while `count` single emails are posted."""
    forget()
    with (
        stage.wsgi() as (host, _),
        stage.workers("email", processes=1, threads=4, EMAIL_PROVIDER_URL=url),
        ExitStack() as later,
    ):
        post_all(host, "/api/v1/notifications/", [json.dumps(body(n)).encode() for n in range(20)], key=key)
        time.sleep(3)
        if flood:
            post_batches(host, key, flood)
            # Started only now: it sends as fast as they are accepted.
            later.enter_context(
                stage.workers("email.bulk", processes=1, threads=2, nice=10, EMAIL_PROVIDER_URL=bulk_url)
            )
            while not _sent(4):
                time.sleep(0.1)
        before, began = _sent(4), time.monotonic()
        bodies = [json.dumps(body(n)).encode() for n in range(count)]
        post_all(host, "/api/v1/notifications/", bodies, key=key, connections=2, pace=EVERY)
        rate = (_sent(4) - before) / (time.monotonic() - began)
        delays = _delays(count)
    return percentile(delays, 0.5), percentile(delays, 0.99), rate


def _sent(priority: int) -> int:
    from apps.notifications.channels.email.log import EmailLog

    return EmailLog.objects.filter(status="sent", priority=priority).count()


def _delays(count: int) -> list[float]:
    """ms from each row's acceptance to its relay's answer. Raises TimeoutError."""
    from apps.notifications.channels.email.log import EmailLog

    rows = EmailLog.objects.filter(priority=5).order_by("-id")[:count]
    ends = time.monotonic() + 60
    while any(row.sent_at is None for row in rows.all()):
        if time.monotonic() > ends:
            raise TimeoutError("Some were not sent within a minute.")
        time.sleep(0.2)
    return [
        (row.sent_at - row.created_at).total_seconds() * 1000 for row in rows.all() if row.sent_at is not None
    ]
