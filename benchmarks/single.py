"""Delivery of a backlog of single posts, beside one Celery task an email; and of many slow connections."""

import json

from benchmarks.bulk import cost_of, peer_worker, settled
from benchmarks.peers import environment as peers
from benchmarks.stage import Sink, Stage, Throughput, wait_for_messages
from benchmarks.table import Row
from benchmarks.world import body, forget, interleaved, post_all, post_batches


def measure(stage: Stage, key: str) -> list[Row]:
    ours, theirs = (500, 0) if stage.quick else (6_000, 2_000)
    costs: list[Throughput] = []
    with stage.smtp_sink() as sink:

        def run_ours() -> float:
            costs.append(_backlog(stage, key, sink, ours))
            return costs[-1].rate

        if stage.quick:
            rates = [run_ours()]
            return [Row("single emails", rates, "themselves", rates, 1.0, cost=cost_of(costs[-1], ours))]
        interpreter = peers.python()
        peers.database(stage, interpreter, sink.port)

        def run_theirs() -> float:
            peers.run(stage, interpreter, sink.port, "-m", "benchmarks.peers.queue", "task", str(theirs))
            return peer_worker(stage, interpreter, sink, theirs)

        found = interleaved(3, run_ours, run_theirs)
    peers.drop(stage)
    peer = "a Celery task an email, ORM and Django's mail"
    return [Row("single emails, a backlog", found[0], peer, found[1], 5.0, cost=cost_of(costs[-1], ours))]


def _backlog(stage: Stage, key: str, sink: Sink, count: int) -> Throughput:
    forget()
    before = sink.count()
    with stage.wsgi() as (host, _):
        post_all(
            host, "/api/v1/notifications/", [json.dumps(body(n)).encode() for n in range(count)], key=key
        )
    with stage.workers(
        "email", processes=2, threads=2, EMAIL_PROVIDER_URL=f"smtp://127.0.0.1:{sink.port}/?tls=none"
    ) as pids:
        throughput = wait_for_messages(
            lambda: sink.count() - before, count, {"workers": pids, "sink": [sink.process.pid]}
        )
        settled(count)
    return throughput


def measure_slow(stage: Stage, key: str) -> list[Row]:
    """With replies after 25 ms: 60 connections beside 60 times the rate of one of them."""
    many, one = (1_000, 30) if stage.quick else (24_000, 400)
    with stage.smtp_sink(delay=0.025) as sink:
        url = f"smtp://127.0.0.1:{sink.port}/?tls=none"

        def run(count: int, processes: int, threads: int) -> float:
            forget()
            before = sink.count()
            with stage.wsgi() as (host, _):
                post_batches(host, key, count)
            with stage.workers(
                "email.bulk", processes=processes, threads=threads, EMAIL_PROVIDER_URL=url
            ) as pids:
                # The last batches have fewer rows than there are connections.
                return wait_for_messages(
                    lambda: sink.count() - before, int(count * 0.9), {"workers": pids}
                ).rate

        found = interleaved(1 if stage.quick else 3, lambda: run(many, 2, 30), lambda: 60 * run(one, 1, 1))
    return [Row("60 connections, 25 ms a reply", found[0], "60 × one of them", found[1], 0.9)]
