"""Each part that was written here, beside the library that could do its work: both in a process of their own."""

import secrets
import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.peers import environment as peers
from benchmarks.same_work import HEADERS, PATH, REQUEST, SENDER, Content, Figures, clocked, content
from benchmarks.stage import ROOT, Stage
from benchmarks.table import Row
from benchmarks.world import interleaved

Work = tuple[str | int, ...]
"""A function's name and its arguments."""


def measure(stage: Stage, key: str) -> list[Row]:
    interpreter = peers.python()
    return [
        *_http_rows(stage, interpreter),
        *_window_rows(stage, interpreter),
        *_mime_rows(stage, interpreter),
        *_smtp_rows(stage, interpreter),
    ]


def _http_rows(stage: Stage, interpreter: Path) -> list[Row]:
    rows = []
    count = 1_000 if stage.quick else 20_000
    for threads in (1, 10):
        with stage.fcm_sink() as sink:
            ours, theirs = _in_turns(
                stage, interpreter, ("http", sink.port, count, threads), ("curl", sink.port, count, threads)
            )
        work, peer = f"requests to FCM, threads: {threads}", "pycurl, a kept handle a thread"
        rows.append(Row(work, _rates(ours), peer, _rates(theirs), 1.0))
        rows.append(Row(f"{work}, CPU", _cpu(ours), peer, _cpu(theirs), 1.0, unit="µs", at_most=True))
    return rows


def _window_rows(stage: Stage, interpreter: Path) -> list[Row]:
    count = 600 if stage.quick else 6_000
    names = {
        "moving_window": "limits, moving window",
        "moving_window_and_stats": "limits, moving window and its stats",
        "sliding_counter": "limits, sliding window counter",
    }
    ours, *theirs = _in_turns(stage, interpreter, ("windows", count), *((name, count) for name in names))
    return [
        Row(f"{hits} hits of a window", _rates(ours, which), peer, _rates(runs, which), 1.0)
        for which, hits in enumerate(("allowed", "refused"))
        for peer, runs in zip(names.values(), theirs, strict=True)
    ]


def _mime_rows(stage: Stage, interpreter: Path) -> list[Row]:
    many, few = (2_000, 200) if stage.quick else (20_000, 2_000)
    ours, standard, django = _in_turns(
        stage, interpreter, ("mime", many), ("standard_mime", few), ("django_mime", few)
    )
    return [
        Row("messages built", _rates(ours), "email.message.EmailMessage", _rates(standard), 1.0),
        Row("messages built", _rates(ours), "Django's EmailMultiAlternatives", _rates(django), 1.0),
    ]


def _smtp_rows(stage: Stage, interpreter: Path) -> list[Row]:
    rows = []
    for delay, count in ((0.0, 500 if stage.quick else 8_000), (0.005, 50 if stage.quick else 200)):
        with stage.smtp_sink(delay) as sink:
            works: list[Work] = [
                (name, sink.port, count) for name in ("smtp", "standard_smtp", "asynchronous_smtp")
            ]
            ours, standard, asynchronous = _in_turns(stage, interpreter, *works)
        work = f"one SMTP connection, {delay * 1000:.0f} ms a reply"
        rows.append(Row(work, _rates(ours), "smtplib, ready bytes", _rates(standard), 1.0))
        rows.append(Row(work, _rates(ours), "aiosmtplib, ready bytes", _rates(asynchronous), 1.0))
    rows[0].notes.append("One SMTP connection: ours builds each message too, its peers send ready bytes.")
    return rows


def _in_turns(stage: Stage, interpreter: Path, ours: Work, *theirs: Work) -> list[list[list[Figures]]]:
    return interleaved(
        1 if stage.quick else 3,
        partial(_run, stage, sys.executable, "benchmarks.libraries", *ours),
        *(partial(_run, stage, str(interpreter), "benchmarks.peers.libraries", *one) for one in theirs),
    )


def _run(stage: Stage, interpreter: str, module: str, *arguments: str | int) -> list[Figures]:
    """Raises CalledProcessError."""
    environment = stage.environment
    if interpreter != sys.executable:
        environment = {**environment, **peers.variables(stage, 0)}
    done = subprocess.run(
        [interpreter, "-m", module, *map(str, arguments)],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=300,
    )  # fmt: skip
    numbers = list(map(float, done.stdout.split()))
    return [Figures(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]


def _rates(runs: list[list[Figures]], which: int = 0) -> list[float]:
    return [run[which].rate for run in runs]


def _cpu(runs: list[list[Figures]]) -> list[float]:
    return [run[0].cpu for run in runs]


def http(port: int, count: int, threads: int) -> list[Figures]:
    from notifier.lib.http.client import HttpPool

    pool = HttpPool(f"http://127.0.0.1:{port}", size=threads, connect_timeout=2.0, read_timeout=15.0)
    headers = "".join(f"{line}\r\n" for line in HEADERS)

    def post(number: int) -> None:
        answer = pool.post(PATH, REQUEST, headers, commit=lambda: True)
        assert answer is not None
        assert answer.status == 200

    return [clocked(count, post, threads=threads)]


def windows(count: int) -> list[Figures]:
    from django_redis import get_redis_connection

    from notifier.lib.redis.sliding_window import SECOND, take

    name = secrets.token_hex(8)

    def hit(allowed: bool) -> None:
        assert take(name, limit=count + 1, weight=1, length=60 * SECOND).allowed == allowed

    found = [clocked(count, lambda _: hit(True)), clocked(count, lambda _: hit(False))]
    assert get_redis_connection().exists(f"limit:{name}"), "Redis did not answer: this process counted alone."
    return found


def mime(count: int) -> list[Figures]:
    from apps.notifications.channels.email.message import EmailMessage
    from apps.notifications.channels.email.mime import Envelope

    def build(one: Content) -> bytes:
        return Envelope.of(
            EmailMessage(one.message_id, SENDER, one.to, one.subject, one.html, one.text)
        ).octets

    contents = [content(number) for number in range(count + 1)]
    return [clocked(count, lambda number: build(contents[number]))]


def smtp(port: int, count: int) -> list[Figures]:
    from apps.notifications.channels.email.message import EmailMessage
    from apps.notifications.channels.email.providers.smtp.provider import SmtpProvider
    from apps.notifications.channels.email.providers.smtp.settings import SmtpSettings
    from apps.notifications.channels.outcome import Result

    settings = SmtpSettings(host="127.0.0.1", port=port, message_limit=count + 1)
    provider = SmtpProvider("bench", settings)
    messages: list[EmailMessage | None] = [
        EmailMessage(one.message_id, SENDER, one.to, one.subject, one.html, one.text)
        for one in map(content, range(count + 1))
    ]
    messages.append(None)

    def send(number: int) -> None:
        message = messages[number]
        assert message is not None
        outcome = provider.send(message, may_commit=lambda: True, pipelined_next=messages[number + 1])
        assert outcome.result is Result.SENT, outcome

    found = clocked(count, send)
    provider.close()
    return [found]


NAMES = {one.__name__: one for one in (http, windows, mime, smtp)}

if __name__ == "__main__":
    found = NAMES[sys.argv[1]](*map(int, sys.argv[2:]))
    sys.stdout.write(" ".join(f"{one.rate} {one.cpu}" for one in found))
