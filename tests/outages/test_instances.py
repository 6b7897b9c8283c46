"""The private services do what the fault tests rely on."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from kombu import Connection, Exchange, Queue
from kombu.exceptions import OperationalError

from scripts.private_services import greetings
from scripts.private_services.postgres import PrivatePostgres
from scripts.private_services.process import Instance, NotInstalled, started, wait_for
from scripts.private_services.rabbit import PrivateRabbit
from scripts.private_services.redis import PrivateRedis

pytestmark = pytest.mark.chaos

EXCHANGE = Exchange("proof", type="direct", durable=True)
QUEUE = Queue("proof", EXCHANGE, "proof", durable=True, queue_arguments={"x-queue-type": "quorum"})


def running(kind: type[Instance]) -> Iterator[Any]:
    try:
        instance = kind()
    except NotInstalled as missing:
        pytest.skip(str(missing))
    try:
        with instance:
            yield instance
    except NotInstalled as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def rabbit() -> Iterator[PrivateRabbit]:
    yield from running(PrivateRabbit)


@pytest.fixture(scope="module")
def store() -> Iterator[PrivateRedis]:
    yield from running(PrivateRedis)


@pytest.fixture(scope="module")
def database() -> Iterator[PrivatePostgres]:
    yield from running(PrivatePostgres)


def publish(url: str, body: str, patience: float = 5) -> None:
    """Returns when the broker has confirmed; raises OSError or OperationalError if it has not."""
    connection = Connection(
        url, connect_timeout=patience, transport_options={
            "confirm_publish": True, "max_retries": 0, "read_timeout": patience, "write_timeout": patience,
        },
    )  # fmt: skip
    try:
        producer = connection.Producer(serializer="json")
        producer.publish(
            body, exchange=EXCHANGE, routing_key="proof", declare=[QUEUE], mandatory=True, delivery_mode=2,
            retry=False, timeout=patience, confirm_timeout=patience,
        )  # fmt: skip
    finally:
        connection.collect()


def waiting(url: str) -> list[str]:
    """What the queue holds; taken out of it."""
    found = []
    with Connection(url) as connection:
        queue = QUEUE(connection.default_channel)
        queue.declare()
        while (message := queue.get()) is not None:
            found.append(message.payload)
            message.ack()
        connection.collect()
    return found


def seconds(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


class TestRabbit:
    def test_a_confirmed_message_is_in_the_quorum_queue(self, rabbit: PrivateRabbit) -> None:
        publish(rabbit.url, "first")
        assert waiting(rabbit.url) == ["first"]

    def test_frozen_it_confirms_nothing_and_thawed_it_does(self, rabbit: PrivateRabbit) -> None:
        rabbit.freeze()
        try:
            with pytest.raises((OSError, OperationalError)):
                publish(rabbit.url, "lost", patience=0.5)
        finally:
            rabbit.thaw()
        publish(rabbit.url, "found")
        assert waiting(rabbit.url) == ["found"]

    def test_a_memory_alarm_blocks_publishers_until_it_is_cleared(self, rabbit: PrivateRabbit) -> None:
        publish(rabbit.url, "before")
        rabbit.memory_alarm(True)
        try:
            with pytest.raises(OSError, match="timed out"):
                publish(rabbit.url, "blocked", patience=0.5)
        finally:
            rabbit.memory_alarm(False)
        publish(rabbit.url, "after")
        assert waiting(rabbit.url)[-1] == "after"

    def test_killed_and_started_it_still_has_what_it_confirmed(self, rabbit: PrivateRabbit) -> None:
        publish(rabbit.url, "kept")
        rabbit.kill()
        with pytest.raises((OSError, OperationalError)):
            publish(rabbit.url, "refused")
        rabbit.start()
        assert waiting(rabbit.url) == ["kept"]

    def test_stopped_and_started_it_still_has_what_it_confirmed(self, rabbit: PrivateRabbit) -> None:
        publish(rabbit.url, "kept")
        rabbit.refuse()
        assert not rabbit.running
        rabbit.start()
        assert waiting(rabbit.url) == ["kept"]

    def test_wiped_it_is_empty(self, rabbit: PrivateRabbit) -> None:
        publish(rabbit.url, "gone")
        rabbit.wipe()
        assert waiting(rabbit.url) == []

    def test_a_wrong_password_is_told_apart_from_silence(self, rabbit: PrivateRabbit) -> None:
        with pytest.raises(greetings.NoAnswer, match="refuses the credentials"):
            greetings.amqp(rabbit.url.replace("guest:guest", "guest:wrong"))


class TestRedis:
    def test_frozen_it_times_out_and_thawed_it_remembers(self, store: PrivateRedis) -> None:
        with redis.Redis.from_url(store.url, socket_timeout=0.3, retry=None) as client:
            client.set("name", "value")
            store.freeze()
            with pytest.raises(redis.TimeoutError):
                client.get("name")
            store.thaw()
            assert client.get("name") == b"value"

    def test_flushed_or_killed_it_forgets(self, store: PrivateRedis) -> None:
        for lose in (store.flush, store.kill, store.stop, store.wipe):
            with redis.Redis.from_url(store.url) as client:
                client.set("name", "value")
            lose()
            store.start()
            with redis.Redis.from_url(store.url) as client:
                assert client.get("name") is None


class TestPostgres:
    def test_killed_it_keeps_what_was_committed(self, database: PrivatePostgres) -> None:
        with psycopg.connect(database.url) as connection:
            connection.execute("CREATE TABLE proof (word text)")
            connection.execute("INSERT INTO proof VALUES ('kept')")
        for end in (database.kill, database.stop):
            end()
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(database.url)
            database.start()
            with psycopg.connect(database.url) as connection:
                assert connection.execute("SELECT word FROM proof").fetchall() == [("kept",)]

    def test_frozen_an_open_connection_and_a_new_one_hang(self, database: PrivatePostgres) -> None:
        with psycopg.connect(database.url, autocommit=True) as connection:
            database.freeze()
            with pytest.raises(TimeoutError):
                greetings.postgres(database.url)
            connection.pgconn.send_query(b"SELECT 1")
            time.sleep(0.2)
            connection.pgconn.consume_input()
            assert connection.pgconn.is_busy()
            database.thaw()
            assert connection.pgconn.get_result() is not None
            while connection.pgconn.get_result() is not None:
                pass
        database.check()

    def test_wiped_it_is_empty(self, database: PrivatePostgres) -> None:
        with psycopg.connect(database.url) as connection:
            connection.execute("CREATE TABLE gone (word text)")
        database.wipe()
        with psycopg.connect(database.url) as connection:
            assert connection.execute("SELECT to_regclass('gone')").fetchone() == (None,)


def test_closing_a_frozen_instance_ends_its_process_and_removes_its_directory() -> None:
    for instance in running(PrivateRedis):
        pid = int((instance.directory / "pid").read_text().split()[0])
        instance.freeze()
        assert seconds(instance.close) < 5
        assert started(pid) is None
        assert not instance.directory.exists()


@pytest.mark.parametrize("kind", [PrivateRedis, PrivatePostgres, PrivateRabbit])
def test_it_does_not_outlive_a_killed_test_process(kind: type[Instance]) -> None:
    program = (
        "import os, signal\n"
        f"from {kind.__module__} import {kind.__name__} as Kind\n"
        "instance = Kind()\n"
        "instance.start()\n"
        "print((instance.directory / 'pid').read_text().split()[0], instance.directory, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    if "NotInstalled" in done.stderr:
        pytest.skip(f"{kind.name} is not installed")
    pid, directory = done.stdout.split()
    wait_for(lambda: started(int(pid)) is None, 10, lambda: f"{kind.name} still runs")
    wait_for(lambda: not Path(directory).exists(), 10, lambda: f"{directory} is still there")
