"""The libraries' side of `benchmarks.libraries`: `python -m benchmarks.peers.libraries NAME ARGUMENT …`."""

import asyncio
import os
import secrets
import smtplib
import sys
import threading
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP

from benchmarks.same_work import (
    HEADERS,
    PATH,
    REQUEST,
    SENDER,
    Clock,
    Content,
    Figures,
    clocked,
    content,
)
from benchmarks.world import body, ready_message


def curl(port: int, count: int, threads: int) -> list[Figures]:
    """A handle a thread, which keeps its connection; as with our pool, nothing is sent twice."""
    import pycurl

    held = threading.local()

    def once(*_: object) -> int:
        # libcurl repeats a POST by itself where a kept connection ends without an answer.
        if held.sent:
            return pycurl.PREREQFUNC_ABORT
        held.sent = True
        return pycurl.PREREQFUNC_OK

    def handle() -> pycurl.Curl:
        made = pycurl.Curl()
        made.setopt(pycurl.URL, f"http://127.0.0.1:{port}{PATH}")
        made.setopt(pycurl.USERAGENT, "notifier")
        made.setopt(pycurl.HTTPHEADER, list(HEADERS))
        made.setopt(pycurl.NOSIGNAL, 1)
        made.setopt(pycurl.CONNECTTIMEOUT_MS, 2_000)
        made.setopt(pycurl.TIMEOUT_MS, 15_000)
        made.setopt(pycurl.PREREQFUNCTION, once)
        return made

    def post(number: int) -> None:
        if not hasattr(held, "handle"):
            held.handle = handle()
        held.sent = False
        pieces: list[bytes] = []
        held.handle.setopt(pycurl.POSTFIELDS, REQUEST)
        held.handle.setopt(pycurl.WRITEFUNCTION, pieces.append)
        held.handle.perform()
        # In place of reading all headers: the one that is looked at.
        held.handle.getinfo(pycurl.RETRY_AFTER)
        assert held.handle.getinfo(pycurl.RESPONSE_CODE) == 200, b"".join(pieces)

    return [clocked(count, post, threads=threads)]


def moving_window(count: int) -> list[Figures]:
    return _windows("MovingWindowRateLimiter", count)


def moving_window_and_stats(count: int) -> list[Figures]:
    """Each hit with what our answer says too: how much is left, and until when."""
    return _windows("MovingWindowRateLimiter", count, stats=True)


def sliding_counter(count: int) -> list[Figures]:
    return _windows("SlidingWindowCounterRateLimiter", count)


def _windows(strategy: str, count: int, *, stats: bool = False) -> list[Figures]:
    """Hits that the limit allows, then as many that it refuses."""
    from limits import RateLimitItemPerMinute, strategies
    from limits.storage import RedisStorage

    limiter = getattr(strategies, strategy)(RedisStorage(os.environ["REDIS_URL"]))
    item, name = RateLimitItemPerMinute(count + 1), secrets.token_hex(8)

    def hit(allowed: bool) -> None:
        assert limiter.hit(item, name) == allowed
        if stats:
            limiter.get_window_stats(item, name)

    return [clocked(count, lambda _: hit(True)), clocked(count, lambda _: hit(False))]


def standard_mime(count: int) -> list[Figures]:
    def build(one: Content) -> bytes:
        made = EmailMessage(policy=SMTP)
        made["Date"] = datetime.now(UTC)
        made["From"], made["To"], made["Subject"] = SENDER, one.to, one.subject
        made["Message-ID"] = one.message_id
        made.set_content(one.text)
        made.add_alternative(one.html, subtype="html")
        return made.as_bytes()

    contents = [content(number) for number in range(count + 1)]
    return [clocked(count, lambda number: build(contents[number]))]


def django_mime(count: int) -> list[Figures]:
    from django.core.mail import EmailMultiAlternatives

    def build(one: Content) -> bytes:
        headers = {"Message-ID": one.message_id}
        made = EmailMultiAlternatives(one.subject, one.text, SENDER, [one.to], headers=headers)
        made.attach_alternative(one.html, "text/html")
        return made.message().as_bytes()

    contents = [content(number) for number in range(count + 1)]
    return [clocked(count, lambda number: build(contents[number]))]


def standard_smtp(port: int, count: int) -> list[Figures]:
    ready = ready_message()
    with smtplib.SMTP("127.0.0.1", port) as server:

        def send(number: int) -> None:
            server.sendmail("notifier@sender.test", [body(number)["recipient"]["email"]], ready)

        return [clocked(count, send)]


def asynchronous_smtp(port: int, count: int) -> list[Figures]:
    import aiosmtplib

    async def run() -> Figures:
        ready = ready_message()
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as server:

            async def send(number: int) -> None:
                await server.sendmail("notifier@sender.test", [body(number)["recipient"]["email"]], ready)

            await send(0)
            clock = Clock()
            for number in range(1, count + 1):
                await send(number)
            return clock.figures(count)

    return [asyncio.run(run())]


NAMES = {
    one.__name__: one
    for one in (
        curl, moving_window, moving_window_and_stats, sliding_counter, standard_mime, django_mime, standard_smtp,
        asynchronous_smtp,
    )
}  # fmt: skip

if __name__ == "__main__":
    found = NAMES[sys.argv[1]](*map(int, sys.argv[2:]))
    sys.stdout.write(" ".join(f"{one.rate} {one.cpu}" for one in found))
