"""Background loops: whatever a turn raises, the next one comes, and health and metrics say so."""

import os
import subprocess
import sys
import threading
import time

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError
from rest_framework.test import APIClient

from apps.notifications.delivery.runtime import WorkerRuntime
from apps.notifications.observability.exposition import Exposition
from apps.notifications.observability.metrics import REGISTRY
from apps.notifications.queue.broker import Publisher
from apps.notifications.scheduler import loop as scheduler
from apps.notifications.webhooks.leases import LeaseKeeper
from notifier.http import health
from notifier.lib import threads
from notifier.lib.threads import Loop
from tests.conftest import wait_until
from tests.environment import ROOT

ERRORS = [
    OperationalError("server closed the connection"),
    InterfaceError("connection already closed"),
    DatabaseError("deadlock detected"),
    ValueError("a mistake of ours"),
    KeyError("channel"),
]


@pytest.fixture
def looped():
    """Makes loops that are stopped at the end."""
    made = []

    def make(turn, **options):
        made.append(Loop(f"test-{len(made)}", turn, **{"every": 0.01, "pause": 0.01, **options}))
        return made[-1]

    yield make
    for one in made:
        one.stop()


class _Killed(BaseException):
    pass


def own(name):
    return next((state for state in threads.states() if state.name == name), None)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_turn_that_raises_is_followed_by_another(error, looped, db):
    turns = []

    def turn():
        turns.append(time.monotonic())
        if len(turns) == 2:
            raise error

    loop = looped(turn)
    loop.start()
    wait_until(lambda: len(turns) > 4)
    state = own(loop.name)
    assert (state.alive, state.failures, state.error) == (True, 1, "")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_one_that_fails_is_seen(error, looped, db, monkeypatch, caplog):
    monkeypatch.setattr(health, "CACHED_SECONDS", 0.0)
    fails = threading.Event()

    def turn():
        if fails.is_set():
            raise error

    loop = looped(turn)
    loop.start()
    assert health._loops() == "ok"
    fails.set()
    wait_until(lambda: own(loop.name).failures > 3)
    assert own(loop.name).error.startswith(type(error).__name__)
    answer = APIClient().get("/api/v1/health/ready/").json()["data"]
    assert (answer["status"], answer["loops"]) == ("degraded", "down")
    labels = {"loop": loop.name}
    assert REGISTRY.get_sample_value("notifier_loops_failing", labels) == 1
    fails.clear()
    wait_until(lambda: health._loops() == "ok")
    assert REGISTRY.get_sample_value("notifier_loops_failing", labels) == 0


def test_the_same_failure_is_logged_once_a_minute(looped, monkeypatch):
    logged = []
    monkeypatch.setattr(threads.log, "exception", lambda *_, **fields: logged.append(fields["loop"]))

    def turn():
        raise ValueError("again and again")

    loop = looped(turn)
    loop.start()
    wait_until(lambda: loop.state().failures > 5)
    assert logged == [loop.name]
    monkeypatch.setattr(threads, "LOG_EVERY_SECONDS", 0.0)
    wait_until(lambda: len(logged) > 2)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_thread_is_seen_and_started_again(looped):
    """Nothing should end it, and yet something may, such as a library that raises past `Exception`."""
    turns = []

    def turn():
        turns.append(1)
        if len(turns) == 1:
            raise _Killed

    loop = looped(turn)
    loop.start()
    wait_until(lambda: not loop._thread.is_alive())
    assert own(loop.name).failing
    loop.start()
    wait_until(lambda: len(turns) > 2)
    assert not own(loop.name).failing


@pytest.mark.parametrize("part", ["begins", "every"])
def test_what_stands_around_a_turn_may_raise_too(part, looped):
    turns, failed = [], []

    def once():
        if not failed:
            failed.append(1)
            raise ValueError(part)
        return 0.01

    loop = looped(lambda: turns.append(1), **{part: once})
    loop.start()
    wait_until(lambda: failed and len(turns) > 2)
    assert loop.state().failures == 1


def test_started_anew_it_waits_for_its_former_thread(looped):
    """Both would use one connection."""
    began, may_end, inside, most = threading.Event(), threading.Event(), [], []

    def turn():
        inside.append(1)
        most.append(len(inside))
        began.set()
        may_end.wait(10)
        inside.pop()

    loop = looped(turn)
    loop.start()
    assert began.wait(10)
    loop.stop(0.05)
    loop.start()
    time.sleep(0.2)
    may_end.set()
    wait_until(lambda: len(most) > 3)
    assert max(most) == 1


def test_stopped_it_ends_its_work_and_starts_anew(looped):
    ended, turns = [], []
    loop = looped(lambda: turns.append(1), ends=lambda: ended.append(1))
    loop.start()
    wait_until(lambda: turns)
    loop.stop()
    assert ended == [1]
    assert own(loop.name) is None
    count = len(turns)
    loop.start()
    wait_until(lambda: len(turns) > count)


def test_a_turn_that_waits_is_woken_to_stop(looped):
    asleep = threading.Event()
    loop = looped(lambda: asleep.wait(60), every=0.0, wake=asleep.set)
    loop.start()
    began = time.monotonic()
    loop.stop(10)
    assert time.monotonic() - began < 5
    assert not loop._thread.is_alive()


FORKED = """
import os, sys, time
import django
django.setup()
from notifier.lib.threads import Loop

loop = Loop("forked", lambda: os.write(1, f"{os.getpid()} ".encode()), every=0.05)
loop.start()
child = os.fork()
if not child:
    loop.start()
    time.sleep(0.5)
    os._exit(0)
os.waitpid(child, 0)
print(os.getpid(), child, file=sys.stderr)
"""


def test_a_forked_child_has_a_thread_of_its_own():
    # In a process of its own: a fork of this one would be as large as all tests before have made it.
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "notifier.settings"}
    ran = subprocess.run(
        [sys.executable, "-c", FORKED], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert set(ran.stderr.split()[-2:]) <= set(ran.stdout.split())


def _loops():
    """Every loop of the system, with how to break one of its turns."""
    runtime = WorkerRuntime()
    keeper = LeaseKeeper()
    return [
        Publisher()._loop,
        keeper._loop,
        runtime._watcher,
        runtime._recovery,
        Exposition()._loop,
    ]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("number", range(len(_loops())), ids=[loop.name for loop in _loops()])
def test_every_loop_survives(number, error, monkeypatch, transactional_db):
    loop = _loops()[number]
    turns = []

    def turn():
        turns.append(1)
        if len(turns) == 1:
            raise error

    # A turn of its own, in its own thread, with its own begins, ends and pause: what it does is broken, it isn't.
    monkeypatch.setattr(loop, "_turn", turn)
    monkeypatch.setattr(loop, "_every", 0.01)
    monkeypatch.setattr(loop, "_pause", 0.01)
    loop.start()
    wait_until(lambda: len(turns) > 2)
    loop.stop()
    assert loop.state().failures == 1


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "step",
    [
        "free_lapsed",
        "Republisher.republish",
        "settle_due",
        "DeadLetterConsumer.consume_if_due",
        "deletion.turn",
    ],
)
def test_no_step_of_the_scheduler_keeps_another_from_its_work(step, error, monkeypatch, transactional_db):
    turns, done = [], threading.Event()
    owner, _, name = step.rpartition(".")

    def broken(*_):
        turns.append(1)
        raise error

    def looked(_):
        if len(turns) > 1:
            done.set()
        return 0

    monkeypatch.setattr(scheduler, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(getattr(scheduler, owner) if owner else scheduler, name, broken)
    monkeypatch.setattr(scheduler.Gauges, "refresh_if_due", looked)
    stop = threading.Event()
    thread = threading.Thread(target=scheduler.run, args=(stop,))
    thread.start()
    try:
        assert done.wait(10), "the gauges, which come last, were not reached twice"
    finally:
        stop.set()
        thread.join(10)
    assert not [state for state in threads.states() if state.failing], "it has ended"


def test_an_error_of_long_ago_is_no_failure_now(looped, monkeypatch):
    """A loop that waits for work takes no turn by which it could show that it is well."""
    failed, asleep = threading.Event(), threading.Event()

    def turn():
        if failed.is_set():
            asleep.wait(60)
        failed.set()
        raise ValueError("once")

    loop = looped(turn, wake=asleep.set)
    loop.start()
    wait_until(lambda: own(loop.name).failing)
    monkeypatch.setattr(threads, "FAILING_SECONDS", 0.0)
    assert not own(loop.name).failing
