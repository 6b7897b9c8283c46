"""The API as deployed (nginx before granian): accepts beside granian alone, and p99 beside silent connections."""

import json
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.stage import Stage, children_of
from benchmarks.table import Row
from benchmarks.world import body, forget, interleaved, percentile, post_all
from tests.support.silent_connections import Silent, closed, silent

PATH = "/api/v1/notifications/"
EVERY = 0.02
"""Seconds between two posts of the caller whose p99 is measured."""


def measure(stage: Stage, key: str) -> list[Row]:
    return [_throughput(stage, key), *_silence(stage, key)]


def _throughput(stage: Stage, key: str) -> Row:
    count = 300 if stage.quick else 4_000

    def run(host: str) -> float:
        forget()
        bodies = [json.dumps(body(n)).encode() for n in range(count)]
        began = time.monotonic()
        post_all(host, PATH, bodies, key=key)
        return count / (time.monotonic() - began)

    with stage.api() as (ours, _), stage.wsgi() as (alone, _):
        run(ours), run(alone)  # warm
        found = interleaved(1 if stage.quick else 5, lambda: run(ours), lambda: run(alone))
    return Row("single accept behind nginx", found[0], "granian alone", found[1], 0.95)


def _silence(stage: Stage, key: str) -> list[Row]:
    """Each row: p99 of single accepts beside 300 held connections, and idle."""
    count, many = (100, 300) if stage.quick else (400, 300)

    def tail(host: str) -> float:
        bodies = [json.dumps(body(n)).encode() for n in range(count)]
        taken = post_all(host, PATH, bodies, key=key, connections=2, pace=EVERY)
        return percentile(taken, 0.99) * 1000

    kinds: dict[str, Callable[[Silent], list[socket.socket]]] = {
        "silent bodies": lambda callers: callers.bodies(many),
        "unread answers of 3.9 MB": lambda callers: callers.unread(many),
    }
    rows = []
    with stage.api() as (host, pid):
        forget()
        tail(host)  # warm
        port = int(host.rpartition(":")[2])
        idle = [tail(host) for _ in range(1 if stage.quick else 3)]
        for kind, hold in kinds.items():
            with silent(port) as callers:
                held = hold(callers)
                time.sleep(2)  # the last answers are being made
                beside = [tail(host)]
                rows.append(_row(kind, beside, idle))
                rows[-1].notes.append(f"{kind}: {_lasting(callers, held)} {_memory(pid)}")
        with silent(port) as callers, callers.trickling(many) as held:
            rows.append(_row("bodies of a byte a second", [tail(host)], idle))
            rows[-1].notes.append(f"a byte a second: {closed(held)} were closed. {_memory(pid)}")
    return rows


def _row(kind: str, beside: list[float], idle: list[float]) -> Row:
    # The target is idle and 50 ms more.
    target = round((median(idle) + 50) / median(idle), 2)
    return Row(f"single accept, p99 beside 300 {kind}", beside, "idle", idle, target, unit="ms", at_most=True)


def _lasting(callers: Silent, held: list[socket.socket]) -> str:
    """How many connections were open during the measurement, and when all of them were closed."""
    open_then = len(held) - closed(held)
    while closed(held) < len(held) and time.monotonic() - callers.began < 120:
        time.sleep(0.2)
    return (
        f"{open_then} of {len(held)} were open until the end, and {closed(held)} were closed"
        f" {time.monotonic() - callers.began:.0f} s after the first began."
    )


def _memory(pid: int) -> str:
    found = []
    for one in children_of(pid):
        status = Path(f"/proc/{one}/status").read_text()
        name, peak = re.search(r"Name:\s+(\S+)", status), re.search(r"VmHWM:\s+(\d+)", status)
        if name and peak:
            found.append(f"{name[1]} {int(peak[1]) // 1024}")
    return "Peak MiB: " + ", ".join(found) + "."
