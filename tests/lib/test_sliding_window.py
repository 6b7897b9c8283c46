"""The sliding window: in Redis and in this process it counts like a plain model."""

import socket
import threading
import time

import pytest
import redis
from django.conf import settings as django_settings
from django_redis import get_redis_connection
from hypothesis import example, given
from hypothesis import strategies as st

from notifier.lib.redis import scripts, sliding_window
from notifier.lib.redis.sliding_window import ARITHMETIC, LocalSlidingWindows, take
from scripts.private_services.redis import PrivateRedis

needs_redis = pytest.mark.skipif(not django_settings.REDIS_URL, reason="the local default has no Redis")
# The server's own arithmetic, by the test's clock.
MOVED = "local now = tonumber(ARGV[4])\n" + ARITHMETIC
LENGTH = 100_000_000
BEGIN = 1_700_000_000_000_000
"""Microseconds: as many digits as a real time has."""
TO_THE_EDGE = [(0, 1, 1), (LENGTH - 1, 1, 1), (1, 1, 1)]
counts = st.tuples(
    st.sampled_from([0, 0, 1, LENGTH // 5, LENGTH // 2, LENGTH - 1, LENGTH]),  # since the one before
    st.integers(0, 7),  # weight
    st.integers(1, 12),  # limit, which an operator may change at any time
)


class Model:
    """Everything that was ever admitted, counted again each time."""

    def __init__(self):
        self.taken = []

    def take(self, now, weight, limit):
        held = [(when, own) for when, own in self.taken if when > now - LENGTH]
        used = sum(own for _, own in held)
        if used + weight <= limit:
            self.taken += [(now, weight)] if weight else []
            held += [(now, weight)] if weight else []
            return True, used + weight, held[0][0] + LENGTH - now if held else 0
        for when, _ in held:
            left = sum(own for at, own in held if at > when)
            if left + weight <= limit:
                return False, used, when + LENGTH - now
        return False, used, (held[-1][0] if held else now) + LENGTH - now


def private(settings, server):
    """Our cache, and so the windows, on a Redis of the test's own."""
    options = {**settings.CACHES["default"], "LOCATION": server.url}
    settings.CACHES = {"default": options}


def patient(settings):
    """Two hundred threads in one process are slower than Redis' timeouts; what counts here is the count."""
    if settings.REDIS_URL:
        options = dict(settings.CACHES["default"]["OPTIONS"])
        options |= {"SOCKET_TIMEOUT": 30, "SOCKET_CONNECT_TIMEOUT": 30}
        options["CONNECTION_POOL_KWARGS"] = {**options["CONNECTION_POOL_KWARGS"], "timeout": 30}
        # Another database, since a pool of connections is known by its URL alone.
        location = settings.REDIS_URL.rpartition("/")[0] + "/1"
        settings.CACHES = {
            "default": {**settings.CACHES["default"], "LOCATION": location, "OPTIONS": options}
        }
        get_redis_connection().flushdb()


@needs_redis
@given(steps=st.lists(counts, min_size=1, max_size=40))
@example(steps=TO_THE_EDGE)
def test_redis_counts_as_the_model_does(steps):
    client = get_redis_connection()
    client.delete("limit:model")
    script, model, now = client.register_script(MOVED), Model(), BEGIN
    for later, weight, limit in steps:
        now += later
        result = script(keys=["limit:model"], args=[limit, weight, LENGTH, now])
        assert (bool(result[0]), result[1], result[2]) == model.take(now, weight, limit)


@given(steps=st.lists(counts, min_size=1, max_size=40))
@example(steps=TO_THE_EDGE)
def test_a_process_counts_as_the_model_does(steps):
    times = [BEGIN]
    local, model = LocalSlidingWindows(lambda: times[0]), Model()
    for later, weight, limit in steps:
        times[0] += later
        result = local.take("model", limit=limit, weight=weight, length=LENGTH)
        assert (result.allowed, result.used, result.wait) == model.take(times[0], weight, limit)
        assert result.remaining == max(0, limit - result.used)


@needs_redis
def test_a_clock_that_is_set_back_blocks_no_caller():
    client = get_redis_connection()
    script = client.register_script(MOVED)
    for _ in range(5):
        assert script(keys=["limit:back"], args=[5, 1, LENGTH, BEGIN + 3_600_000_000])[0]
    assert script(keys=["limit:back"], args=[5, 1, LENGTH, BEGIN])[:2] == [1, 1]


@needs_redis
def test_a_window_is_one_set_that_expires():
    take("one", limit=10, weight=3, length=60_000_000)
    take("one", limit=10, weight=1, length=60_000_000)
    client = get_redis_connection()
    assert client.zcard("limit:one") == 2
    assert 0 < client.pttl("limit:one") <= 60_000
    assert client.keys("*one*") == [b"limit:one"]


def at_once(threads, work):
    """What each thread's `work` returned; they begin together."""
    start, found, lock = threading.Barrier(threads), [], threading.Lock()

    def run():
        start.wait(30)
        value = work()
        with lock:
            found.append(value)

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)
    assert len(found) == threads
    return found


@pytest.mark.parametrize("where", [pytest.param("redis", marks=needs_redis), "process"])
def test_of_two_hundred_at_once_fifty_pass(where, settings):
    patient(settings)
    if where == "process":
        settings.REDIS_URL = ""
    standings = at_once(200, lambda: take("crowd", limit=50, weight=1, length=60_000_000))
    passed = sorted(standing.used for standing in standings if standing.allowed)
    assert passed == list(range(1, 51))
    if where == "redis":
        assert get_redis_connection().zcard("limit:crowd") == 50, "it was Redis that counted"


@needs_redis
def test_no_window_holds_more_than_its_limit_however_its_edge_is_rushed():
    length, limit, rounds = 150_000, 20, 8
    ends = time.monotonic() + rounds * length / 1e6
    client = redis.Redis.from_url(django_settings.REDIS_URL)
    admitted: list[float] = []

    def rush():
        while time.monotonic() < ends:
            take("edge", limit=limit, weight=1, length=length)

    with client.monitor() as monitor:
        crowd = [threading.Thread(target=rush) for _ in range(16)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join(60)
        client.set("the end", 1)
        while not (result := monitor.next_command()["command"]).startswith("SET the end"):
            if result.startswith("ZADD limit:edge "):
                admitted.append(float(result.split()[2]))
    assert len(admitted) > 2 * limit, "more than one window was filled"
    for first, beyond in zip(admitted, admitted[limit:], strict=False):
        assert beyond - first >= length


@needs_redis
def test_a_flushed_redis_counts_from_nothing(settings):
    with PrivateRedis() as server:
        private(settings, server)
        for _ in range(3):
            assert take("flushed", limit=3, weight=1, length=60_000_000).allowed
        assert not take("flushed", limit=3, weight=1, length=60_000_000).allowed
        server.flush()
        # Its script is gone as well.
        get_redis_connection().script_flush()
        result = [take("flushed", limit=3, weight=1, length=60_000_000) for _ in range(4)]
        assert [(one.allowed, one.used) for one in result] == [(True, 1), (True, 2), (True, 3), (False, 3)]
        assert get_redis_connection().zcard("limit:flushed") == 3, "it was Redis that counted"


@needs_redis
def test_without_redis_this_process_counts_and_comes_back(settings, monkeypatch):
    monkeypatch.setattr(scripts, "RETRY_SECONDS", 0)

    def four():
        return [take("away", limit=3, weight=1, length=60_000_000).allowed for _ in range(4)]

    with PrivateRedis() as server:
        private(settings, server)
        server.kill()
        assert four() == [True, True, True, False]
        server.start()
        assert four() == [True, True, True, False]
        assert get_redis_connection().zcard("limit:away") == 3


@needs_redis
def test_a_redis_that_hangs_is_waited_for_once(settings, monkeypatch):
    monkeypatch.setattr(scripts, "RETRY_SECONDS", 3600)
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hung = []

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                calls.append(1)
                hung.append(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        settings.CACHES = {
            "default": {
                **settings.CACHES["default"],
                "LOCATION": f"redis://127.0.0.1:{listener.getsockname()[1]}/0",
            }
        }
        result = [take("hung", limit=20, weight=1, length=60_000_000).allowed for _ in range(30)]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        for connection in hung:
            connection.close()
    assert result == [True] * 20 + [False] * 10
    assert len(calls) == 1


def test_a_process_drops_the_least_recently_used_window(monkeypatch):
    monkeypatch.setattr(sliding_window, "NAMES_LIMIT", 3)
    local = LocalSlidingWindows()
    for name in ("a", "b", "a", "c", "d"):
        local.take(name, limit=9, weight=1, length=60_000_000)
    assert [local.take(name, limit=9, weight=0, length=1_000).used for name in ("a", "c", "d")] == [2, 1, 1]
    assert local.take("b", limit=9, weight=0, length=60_000_000).used == 0
