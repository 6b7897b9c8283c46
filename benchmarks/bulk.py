"""Bulk email: rows accepted in batches until the sink has them, beside two Django packages and a bare loop."""

import multiprocessing
import smtplib
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.peers import environment as peers
from benchmarks.stage import Sink, Stage, Throughput, wait_for_messages
from benchmarks.table import Row
from benchmarks.world import body, forget, interleaved, post_batches, ready_message

PROCESSES, THREADS = 2, 2


def measure(stage: Stage, key: str) -> list[Row]:
    ours, theirs = (2_000, 500) if stage.quick else (20_000, 4_000)
    costs: list[Throughput] = []
    interpreter = None if stage.quick else peers.python()
    with stage.smtp_sink() as sink:

        def run_ours() -> float:
            costs.append(deliver(stage, key, sink, ours))
            return costs[-1].rate

        measures: list[Callable[[], float]] = [run_ours, lambda: bare(sink.port, ours)]
        if interpreter is not None:
            peers.database(stage, interpreter, sink.port)
            measures += [
                lambda: celery_email(stage, interpreter, sink, theirs),
                lambda: post_office(stage, interpreter, sink, theirs),
            ]
        found = interleaved(1 if stage.quick else 3, *measures)
    if interpreter is not None:
        peers.drop(stage)
    cost = cost_of(costs[-1], ours)
    rows = [Row("bulk email", found[0], "smtplib, 2 processes, ready bytes", found[1], 1.0, cost=cost)]
    rows[0].notes.append(f"Bulk email: {PROCESSES} workers of {THREADS} slots; {sink.name} takes the mail.")
    if interpreter is not None:
        rows.append(Row("bulk email", found[0], "django-celery-email, chunks of 100", found[2], 2.5))
        rows.append(
            Row("bulk email", found[0], "django-post_office, 2 processes of 5 threads", found[3], 3.5)
        )
    return rows


def cost_of(one: Throughput, count: int) -> str:
    used = ", ".join(f"{name} {seconds / count * 1e6:.0f}" for name, seconds in one.cpu.items())
    return f"µs of CPU a message: {used}; peak {one.peak / 2**20:.0f} MiB"


def deliver(stage: Stage, key: str, sink: Sink, count: int, *, threads: int = THREADS) -> Throughput:
    """Accept all messages first, without a worker; measured from the first message at the sink to the last."""
    forget()
    before = sink.count()
    with stage.wsgi() as (host, _):
        post_batches(host, key, count)
    with stage.workers(
        "email.bulk",
        processes=PROCESSES,
        threads=threads,
        EMAIL_PROVIDER_URL=f"smtp://127.0.0.1:{sink.port}/?tls=none",
    ) as pids:
        throughput = wait_for_messages(
            lambda: sink.count() - before, count, {"workers": pids, "sink": [sink.process.pid]}
        )
        settled(count)
    return throughput


def settled(count: int) -> None:
    """Wait until every row is recorded as sent. Raises TimeoutError."""
    from apps.notifications.channels.email.log import EmailLog

    ends = time.monotonic() + 60
    while (sent := EmailLog.objects.filter(status="sent").count()) != count:
        if time.monotonic() > ends:
            raise TimeoutError(f"{sent} of {count} rows say sent.")
        time.sleep(0.2)


def bare(port: int, count: int) -> float:
    """Two processes that each send ready bytes over a persistent connection: the machine's limit with smtplib."""
    ready = ready_message()
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_loop, args=(port, ready, count // 2)) for _ in range(2)]
    began = time.monotonic()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return count / (time.monotonic() - began)


def _loop(port: int, ready: bytes, count: int) -> None:
    server = smtplib.SMTP("127.0.0.1", port)
    for number in range(count):
        server.sendmail("notifier@sender.test", [body(number)["recipient"]["email"]], ready)
    server.quit()


def celery_email(stage: Stage, interpreter: Path, sink: Sink, count: int) -> float:
    peers.run(stage, interpreter, sink.port, "-m", "benchmarks.peers.queue", "celery_email", str(count))
    return peer_worker(stage, interpreter, sink, count)


def peer_worker(stage: Stage, interpreter: Path, sink: Sink, count: int) -> float:
    before = sink.count()
    worker = stage.start(
        str(interpreter), "-m", "celery", "-A", "benchmarks.peers.app", "worker", "-c", "2", "-l", "WARNING",
        "-Q", "peer", "--without-gossip", "--without-mingle", **peers.variables(stage, sink.port),
    )  # fmt: skip
    try:
        return wait_for_messages(lambda: sink.count() - before, count, {}).rate
    finally:
        stage.end(worker)


def post_office(stage: Stage, interpreter: Path, sink: Sink, count: int) -> float:
    peers.run(stage, interpreter, sink.port, "-m", "benchmarks.peers.queue", "post_office", str(count))
    before = sink.count()
    sender = stage.start(
        str(interpreter), "-m", "django", "send_queued_mail", "--processes", "2", "--log-level", "0",
        **peers.variables(stage, sink.port),
    )  # fmt: skip
    try:
        return wait_for_messages(lambda: sink.count() - before, count, {}).rate
    finally:
        stage.end(sender)
