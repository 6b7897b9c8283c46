"""Deploys and database trouble: nothing is lost, nothing is doubled, and requests get an error at once."""

import http.client
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import Event
from apps.notifications.queue import broker
from notifier.http.health import CACHED_SECONDS
from scripts.private_services.postgres import PrivatePostgres
from tests.conftest import wait_until
from tests.outages.conftest import copies, counts, post_many, to_address
from tests.support.smtp_server import Hold, Stall

COUNT = 400
pytestmark = pytest.mark.chaos


def test_ten_warm_shutdowns_under_load_lose_and_double_nothing(make_system, smtp, key):
    smtp.scripts["dot"] = (Stall(0.02), "250 2.0.0 taken")
    system = make_system()
    system.start_api()
    system.start_tick()
    system.start_worker("email", "email")
    with system.client(key) as client, ThreadPoolExecutor(1) as pool:
        posting = pool.submit(post_many, client, COUNT, to_address, 4)
        for round_ in range(10):
            # Before it is ready a SIGTERM meets Python's own handler.
            system.wait_ready("email", round_ + 1)
            before = counts()["sent"]
            wait_until(
                lambda before=before: (
                    counts()["sent"] >= min(before + 10, COUNT) or counts()["sent"] == COUNT
                ),
                seconds=60,
            )
            system.signal("email", signal.SIGTERM)
            assert system.parts["email"].wait(30) == 0
            assert counts()["sending"] == 0, "a warm shutdown finishes what it has begun"
            system.start_worker("email", "email")
        assert {answer.status_code for answer in posting.result()} == {202}

    wait_until(lambda: counts()["sent"] == COUNT, seconds=60)
    assert counts() == {"sent": COUNT}
    assert set(copies(smtp).values()) == {1}
    assert not Event.objects.filter(kind="unknown").exists()


def test_sessions_cut_every_200_ms_lose_nothing(make_system, smtp, key):
    system = make_system()
    # Marked, so that the cutter spares the test's own sessions.
    server, _, _ = system.environment["DATABASE_URL"].rpartition("/")
    system.environment["DATABASE_URL"] += "?application_name=under-fire"
    system.start_api()
    system.start_tick()
    system.start_worker("email", "email")
    stop = threading.Event()

    def cut():
        with psycopg.connect(f"{server}/postgres", autocommit=True) as own:
            while not stop.wait(0.2):
                own.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'under-fire'"
                )

    cutter = threading.Thread(target=cut)
    with system.client(key) as client:
        cutter.start()
        try:
            answers = post_many(client, COUNT, to_address, 8)
            refused = [n for n, answer in enumerate(answers) if answer.status_code != 202]
            assert {answer.status_code for answer in answers} <= {202, 503}
        finally:
            stop.set()
            cutter.join()
        wait_until(lambda: client.get("health/ready/").status_code == 200, seconds=15)
        # The same request again is what a caller does after a 503, and never a second send. The last cut may have
        # left another dead session in the pool, which the next request finds.
        for n in refused:
            status = wait_until(
                lambda n=n: (
                    answered
                    if (answered := client.post("notifications/", json=to_address(n)).status_code) != 503
                    else 0
                ),
                seconds=5,
            )
            assert status in (202, 409)

    wait_until(lambda: counts()["sent"] + counts()["unknown"] == COUNT, seconds=120)
    taken = copies(smtp)
    named = {
        f"<{pk}@sender.test>"
        for pk in Event.objects.filter(kind="unknown").values_list("delivery_id", flat=True)
    }
    assert {message for message, times in taken.items() if times > 1} <= named
    sent = {
        f"<{pk}@sender.test>" for pk in EmailLog.objects.filter(status="sent").values_list("pk", flat=True)
    }
    assert sent <= set(taken)


def test_a_refusal_before_the_body_has_come_keeps_the_connection(make_system):
    """The next request on it would otherwise have no answer: the server hangs up on what it has not read."""
    system = make_system()
    system.start_api()
    with closing(http.client.HTTPConnection("127.0.0.1", system.port, timeout=10)) as connection:
        connection.connect()
        connection.auto_open = 0  # Never a second one without a word.
        for length in (100, 300_000, 100):
            connection.putrequest("POST", "/api/v1/notifications/")
            connection.putheader("Authorization", "Api-Key no-such.key")
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(length))
            connection.endheaders()
            time.sleep(0.2)
            connection.send(b" " * length)
            answer = connection.getresponse()
            assert answer.status == 401
            answer.read()


def test_a_database_that_is_away_is_reported_at_once_and_used_again_soon(make_system, key):
    with PrivatePostgres() as postgres:
        system = make_system()
        system.environment["DATABASE_URL"] = postgres.url
        system.migrate()
        system.start_api()
        with system.client(key) as client:
            assert client.get("health/ready/").json()["data"]["database"] == "ok"
            postgres.kill()
            for path in ("notifications/", "health/ready/"):
                if path == "health/ready/":
                    # What a probe found stands for a second.
                    time.sleep(CACHED_SECONDS)
                began = time.monotonic()
                answer = client.get(path)
                assert time.monotonic() - began < 3
                assert answer.status_code == 503
                assert answer.json()["error"] == "database_unavailable"
            assert client.get("health/live/").status_code == 200
            postgres.start()
            back = time.monotonic()
            wait_until(lambda: client.get("health/ready/").status_code == 200, seconds=5)
            assert time.monotonic() - back < 5


def test_stalled_sends_hold_no_connection(make_system, smtp, key):
    """Fifty senders that wait for the relay, in a process with four connections, use none of them."""
    stalled = 50
    released = threading.Event()
    smtp.scripts["data"] = (Hold(released), "354 go ahead")
    system = make_system(DATABASE_POOL_SIZE="4")
    server, _, _ = system.environment["DATABASE_URL"].rpartition("/")
    system.environment["DATABASE_URL"] += "?application_name=stalled"
    system.start_worker("email", "email", threads=stalled)
    system.environment["DATABASE_URL"] = system.environment["DATABASE_URL"].replace("=stalled", "=free")
    system.start_api()
    system.start_tick()
    try:
        with system.client(key) as client:
            answers = post_many(client, stalled, to_address)
            assert {answer.status_code for answer in answers} == {202}
            wait_until(lambda: len(smtp.lines("DATA")) == stalled, seconds=60)
            with psycopg.connect(f"{server}/postgres", autocommit=True) as own:
                sessions = own.execute(
                    "SELECT state FROM pg_stat_activity WHERE application_name = 'stalled'"
                ).fetchall()
            assert len(sessions) <= 4
            # A lease's renewal takes one for a moment.
            assert sum(state != "idle" for (state,) in sessions) <= 1
            more = post_many(client, 20, lambda n: to_address(stalled + n))
            assert {answer.status_code for answer in more} == {202}
            assert counts()["sending"] == stalled
    finally:
        released.set()
    wait_until(lambda: counts() == {"sent": stalled + 20}, seconds=60)
    assert set(copies(smtp).values()) == {1}


def test_messages_of_another_version_pass_by(make_system, smtp, key):
    """Old and new side by side: what a worker can't read is kept aside, and its rows are sent all the same."""
    from kombu import Connection, Producer

    system = make_system()
    system.start_api()
    system.start_tick()
    with system.client(key) as client:
        ids = [
            client.post("notifications/", json=to_address(n)).json()["data"]["deliveries"][0]["id"]
            for n in range(5)
        ]
    with Connection(system.environment["BROKER_URL"]) as connection:
        channel = connection.channel()
        broker.declare(channel)
        for version, extra in ((2, {"chunk": True}), (1, {"priority": 5})):
            Producer(channel).publish(
                [[], {"v": version, "channel": "email", "ids": ids, **extra}, {}],
                exchange="notifications.direct",
                routing_key="email",
                serializer="json",
                headers={
                    "lang": "py",
                    "task": "notifications.deliver",
                    "id": f"version-{version}",
                    "argsrepr": "",
                },
            )
    system.start_worker("email", "email")
    wait_until(lambda: counts()["sent"] == 5, seconds=30)
    assert set(copies(smtp).values()) == {1}
    wait_until(lambda: re.search("message_not_understood", system.log("email")))
