"""What both sides of `libraries` are given: the same request, the same messages, and the clock."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from benchmarks.world import HTML, TEXT, body

SENDER = "Notifier <notifier@sender.test>"

PATH = "/v1/projects/bench/messages:send"
HEADERS = (f"Authorization: Bearer {'x' * 200}", "Content-Type: application/json; charset=utf-8")
REQUEST = json.dumps(
    {
        "message": {
            "notification": {"title": "Order A-1", "body": "Hello Person 1"},
            "token": body(1, "push")["recipient"]["device_token"],
        }
    }
).encode()


class Content(NamedTuple):
    message_id: str
    to: str
    subject: str
    html: str
    text: str


def content(number: int) -> Content:
    html, text = (
        source.replace("{{ name }}", f"Person {number}").replace("{{ order }}", f"A-{number}")
        for source in (HTML, TEXT)
    )
    return Content(f"<{number}@sender.test>", f"person{number}@example.com", f"Order A-{number}", html, text)


class Figures(NamedTuple):
    """Calls a second, and µs of this process's CPU a call."""

    rate: float
    cpu: float


class Clock:
    def __init__(self) -> None:
        self._began, self._used = time.perf_counter(), time.process_time()

    def figures(self, count: int) -> Figures:
        took, used = time.perf_counter() - self._began, time.process_time() - self._used
        return Figures(count / took, used / count * 1e6)


def clocked(count: int, work: Callable[[int], object], *, threads: int = 1) -> Figures:
    """Call `work` with the numbers from 1 to `count`, in so many threads; before that with 0, uncounted, for what is
    loaded and connected once. Raises what it raises."""

    def loop(first: int) -> None:
        for number in range(first, count + 1, threads):
            work(number)

    work(0)
    with ThreadPoolExecutor(threads) as pool:
        clock = Clock()
        list(pool.map(loop, range(1, threads + 1)))
        return clock.figures(count)
