"""Accepting requests, one by one and a thousand at a time, beside bare views of the same framework and server."""

import json
import time

from benchmarks.stage import Stage
from benchmarks.table import Row
from benchmarks.world import body, forget, interleaved, percentile, post_all

BARE = "benchmarks.bare.wsgi:application"


def measure_single(stage: Stage, key: str) -> list[Row]:
    count = 300 if stage.quick else 4_000
    with stage.wsgi() as (ours, _), stage.wsgi(BARE) as (theirs, _):

        def run(host: str, path: str) -> tuple[float, float]:
            forget()
            bodies = [json.dumps(body(n)).encode() for n in range(count)]
            began = time.monotonic()
            taken = post_all(host, path, bodies, key=key)
            return count / (time.monotonic() - began), percentile(taken, 0.99) * 1000

        run(ours, "/api/v1/notifications/"), run(theirs, "/single/")  # warm
        found = interleaved(
            1 if stage.quick else 3,
            lambda: run(ours, "/api/v1/notifications/"),
            lambda: run(theirs, "/single/"),
        )
    rates, tails = ([[one[n] for one in side] for side in found] for n in (0, 1))
    peer = "a bare DRF view: 8 fields, one insert, a confirmed publish"
    return [
        Row("single accept, 16 connections", rates[0], peer, rates[1], 1.2),
        Row("single accept, p99", tails[0], peer, tails[1], 1.0, unit="ms", at_most=True),
    ]


def measure_batch(stage: Stage, key: str) -> list[Row]:
    requests = 2 if stage.quick else 10
    with stage.wsgi() as (ours, _), stage.wsgi(BARE) as (theirs, _):

        def run(host: str, path: str) -> float:
            forget()
            bodies = [
                json.dumps({"notifications": [body(n) for n in range(1000)]}).encode()
                for _ in range(requests)
            ]
            began = time.monotonic()
            post_all(host, path, bodies, key=key, connections=4)
            return requests * 1000 / (time.monotonic() - began)

        run(ours, "/api/v1/notifications/batch/"), run(theirs, "/batch/")  # warm
        found = interleaved(
            1 if stage.quick else 3,
            lambda: run(ours, "/api/v1/notifications/batch/"),
            lambda: run(theirs, "/batch/"),
        )
    return [Row("batch accept, 1,000 a request", found[0], "parse, the same rows, publish", found[1], 0.5)]
