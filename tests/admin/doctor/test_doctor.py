"""`manage.py doctor`: each error is set up for real, and the finding must name it."""

import os
import re
import threading
import time

import pytest
from django.conf import settings as configured
from kombu import Connection, Queue

from apps.admin.doctor import database
from apps.admin.doctor.checks import Check, examine
from apps.admin.doctor.findings import ok
from apps.notifications.models import ProviderState, TickLease, from_now
from apps.notifications.queue import broker
from apps.notifications.scheduler import loop
from notifier.channels.registry import CODES
from notifier.local import fcm_answers
from scripts.private_services.process import free_port
from scripts.private_services.rabbit import PrivateRabbit
from tests.environment import ROOT
from tests.support.admin_visits import PASSWORD, TOKEN, command, visit, visit_with
from tests.support.smtp_server import ScriptedSmtpServer, Stall

pytestmark = pytest.mark.skipif(configured.LOCAL, reason="the local default has no connections to look at")


@pytest.fixture(scope="module")
def rabbit():
    with PrivateRabbit() as broker:
        yield broker


@pytest.fixture
def turning():
    """A tick that runs."""
    stop = threading.Event()
    thread = threading.Thread(target=loop.run, args=(stop,))
    thread.start()
    ends = time.monotonic() + 10
    while not TickLease.objects.exists():
        assert time.monotonic() < ends
        time.sleep(0.02)
    yield
    stop.set()
    thread.join(10)


def test_all_is_well(worker, turning, smtp, fcm):
    fcm.script(TOKEN, fcm_answers.invalid_token())
    found = visit()
    assert found.code == 0
    assert found.answer["ok"] is True
    for check in ("database", "migrations", "clock", "broker", "queues", "redis", "tick", "providers"):
        assert found.sentence(check, "ok")
    assert len(found.sentences("workers", "ok")) == len(broker.LANES)
    assert found.sentence("email", "ok").endswith("accepts us, without signing in; nothing was sent.")
    assert found.sentence("push", "ok") == "FCM accepts us for the project stand-in; nothing was sent."
    assert not smtp.messages
    assert not fcm.messages


def test_without_json_it_speaks_in_lines(transactional_db):
    done = command(EMAIL_PROVIDER_URL="", PUSH_PROVIDER_URL="")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert "wrong   tick       No scheduler runs. Start manage.py tick: until then" in done.stdout
    assert re.fullmatch(r"\d+ wrong, \d+ warnings, \d+ skipped\.", lines[0])
    # What is to be done stands before what is well.
    levels = [line.split()[0] for line in lines[1:]]
    order = ["wrong", "warning", "skipped", "ok"]
    assert levels == sorted(levels, key=order.index)
    assert {"wrong", "ok"} <= set(levels)


def test_an_argument_that_makes_no_sense_is_usage(transactional_db):
    assert command("--nonsense").returncode == 2


def test_a_failing_check_does_not_stop_the_others_and_no_password_is_printed(transactional_db, tmp_path):
    closed = free_port()
    found = visit_with(
        DATABASE_URL=f"postgres://ada:{PASSWORD}@127.0.0.1:{closed}/notifier",
        BROKER_URL=f"amqp://ada:{PASSWORD}@127.0.0.1:{closed}//",
        REDIS_URL=f"redis://:{PASSWORD}@127.0.0.1:{closed}/0",
        EMAIL_PROVIDER_URL=f"smtp://ada:{PASSWORD}@127.0.0.1:{closed}/?tls=none",
        PUSH_PROVIDER_URL=f"fcm://my-project/?credentials={tmp_path / 'absent.json'}",
    )
    assert found.code == 1
    assert found.answer["ok"] is False
    place = f"127.0.0.1:{closed}"
    assert found.sentence("database").startswith(f"The database at {place} can't be reached: ")
    assert "Connection refused" in found.sentence("database")
    assert found.sentence("broker").startswith(f"The broker at {place} can't be reached: ")
    assert found.sentence("redis").startswith(f"Redis at {place} can't be reached: ")
    assert found.sentence("email").startswith(
        f"The mail relay at {place} can't be reached (connect_failed): "
    )
    assert "absent.json can't be used" in found.sentence("push")
    for check in ("migrations", "clock"):
        assert found.sentence(check, "skipped") == "Skipped, since the check database must pass first."
    for check in ("queues", "workers"):
        assert found.sentence(check, "skipped") == "Skipped, since the check broker must pass first."
    assert PASSWORD not in found.text
    listed = " ".join(found.sentences("settings", "ok"))
    assert f"BROKER_URL is amqp://ada:***@{place}//." in listed
    for key in ("SECRET_KEY", "JWT_SIGNING_KEY", "HASH_KEY", "ENCRYPTION_KEYS"):
        assert os.environ[key] not in found.text


def test_every_setting_is_listed(settings, transactional_db):
    source = (ROOT / "notifier/settings.py").read_text()
    read = set(re.findall(r'(?:read|flag|secret(?:_list)?|address|env\.\w+)\(\s*"([A-Z_]+)"', source))
    read |= {f"{code.upper()}_{name}" for code in CODES for name in ("PROVIDER_URL", "RETRY_POLICY")}
    assert set(settings.ENVIRONMENT_VARIABLES) == read
    listed = " ".join(visit().sentences("settings", "ok"))
    assert all(f"{name} is " in listed for name in read)


def test_links_that_lead_nowhere(transactional_db):
    found = visit_with(PUBLIC_URL="https://notify.example.com", ALLOWED_HOSTS="api.example.com")
    assert found.sentence("settings").startswith("PUBLIC_URL's host notify.example.com is not among")


def test_settings_that_do_not_go_together(transactional_db):
    found = visit_with(
        SECRET_KEY="s" * 40, JWT_SIGNING_KEY="s" * 40, WORKER_THREADS="16", DATABASE_POOL_SIZE="10",
        DEBUG="true", ALLOWED_HOSTS="*", SECURE_COOKIES="false",
    )  # fmt: skip
    assert found.sentence("settings").startswith(
        "Two of SECRET_KEY, JWT_SIGNING_KEY, HASH_KEY, ENCRYPTION_KEYS are the same."
    )
    warned = " ".join(found.sentences("settings", "warning"))
    for expected in (
        "DATABASE_POOL_SIZE is 10, and a worker's 16",
        "DEBUG is on",
        "PUBLIC_URL is not set",
        "any host name",
        "SECURE_COOKIES is",
    ):
        assert expected in warned


# --- The database -----------------------------------------------------------------------------------------


def test_a_database_that_does_not_exist(transactional_db):
    base, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    sentence = visit_with(DATABASE_URL=f"{base}/nowhere").sentence("database")
    assert 'refuses us: database "nowhere" does not exist.' in sentence
    assert sentence.endswith("Create the database, or correct its name in DATABASE_URL.")


def test_missing_migrations_are_named(transactional_db):
    base, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    # The server's own database, in which nothing of ours was ever made.
    found = visit_with(DATABASE_URL=f"{base}/template1")
    assert found.sentence("database", "ok")
    assert re.match(r"Migrations are missing from the database: \w+\.0001_initial.* Run manage.py migrate\.",
                    found.sentence("migrations"))  # fmt: skip
    assert found.sentence("tick", "skipped")


@pytest.mark.parametrize(("shift", "expected"), [(-60, "60 s ahead of"), (60, "60 s behind")])
def test_clocks_that_disagree(shift, expected, transactional_db, monkeypatch):
    class Shifted:
        @staticmethod
        def time():
            return time.time() + shift

    monkeypatch.setattr(database, "time", Shifted)
    assert f"The database's clock is {expected} this machine's. Synchronize both by NTP." == visit().sentence(
        "clock"
    )


# --- The broker -------------------------------------------------------------------------------------------


def test_wrong_credentials_at_the_broker(rabbit, settings, transactional_db):
    settings.BROKER_URL = f"amqp://ada:{PASSWORD}@127.0.0.1:{rabbit.port}//"
    sentence = visit().sentence("broker")
    assert sentence.startswith(
        f"The broker at 127.0.0.1:{rabbit.port} refuses the user name ada or its password."
    )


def test_a_virtual_host_that_does_not_exist(rabbit, settings, transactional_db):
    settings.BROKER_URL = f"amqp://guest:guest@127.0.0.1:{rabbit.port}/nowhere"
    assert "refuses the virtual host nowhere" in visit().sentence("broker")


def test_a_queue_with_other_arguments_and_lanes_without_workers(rabbit, settings, transactional_db):
    settings.BROKER_URL = rabbit.url
    other = Queue("email.bulk", exchange=broker.DIRECT, routing_key="email.bulk", durable=True)
    with Connection(rabbit.url) as own:
        channel = own.channel()
        other(channel).declare()
        for entity in (*broker.WORK_QUEUES, broker.FAILED_QUEUE, broker.EVENTS):
            if entity.name not in ("email.bulk", "push"):
                entity(channel).declare()
    found = visit()
    different, missing = sorted(found.sentences("queues"))
    assert different.startswith("The queue email.bulk was declared with other arguments: ")
    assert "PRECONDITION_FAILED" in different
    assert missing.startswith("The queue push does not exist. Start manage.py tick or a worker")

    idle = found.sentences("workers")
    assert (
        "No worker consumes the lane email; 0 messages wait in it. Start a worker with -Q email," in idle[0]
    )
    assert len(idle) == len(broker.LANES) - 1
    assert found.sentences("workers", "skipped") == ["The lane push has no queue yet."]


# --- The work ---------------------------------------------------------------------------------------------


def test_a_scheduler_that_is_dead(transactional_db):
    TickLease.objects.create(name=loop.NAME, holder="host:17:ab", lease_until=from_now(-60))
    sentence = visit().sentence("tick")
    assert re.match(
        r"The scheduler does not run: host:17:ab was last seen at \d{4}-\S+ \S+ UTC\. Start ", sentence
    )


def test_a_provider_whose_circuit_is_open(transactional_db):
    ProviderState.objects.create(
        name="smtp", open_until=from_now(60), code="auth_failed", detail="auth: 535 no"
    )
    ProviderState.objects.create(name="fcm", open_until=from_now(-60), code="not_found")
    sentence = visit().sentence("providers")
    assert re.match(
        r"The circuit of the provider smtp is open until .* UTC \(auth_failed\): auth: 535 no\. Correct the ",
        sentence,
    )


# --- Time -------------------------------------------------------------------------------------------------


def test_a_relay_that_says_nothing_is_not_waited_for_long(settings, transactional_db):
    with ScriptedSmtpServer(greeting=Stall(60)) as server:
        settings.EMAIL_PROVIDER_URL = f"{server.url}?tls=none"
        began = time.monotonic()
        sentence = visit().sentence("email")
    assert time.monotonic() - began < 20
    assert "broke off the session (timeout)" in sentence


def test_a_check_that_hangs_or_raises_stops_no_other():
    free = threading.Event()

    def broken():
        raise RuntimeError("no luck")

    checks = (
        Check("hanging", lambda: [ok(str(free.wait(10)))]),
        Check("after", lambda: [ok("never")], needs="hanging"),
        Check("broken", broken),
        Check("last", lambda: [ok("Seen.")]),
    )
    found = {check.name: findings[0].sentence for check, findings in examine(checks, seconds=0.2)}
    free.set()
    assert found == {
        "hanging": "No answer within 0 s.",
        "after": "Skipped, since the check hanging must pass first.",
        "broken": "The check failed: RuntimeError: no luck.",
        "last": "Seen.",
    }
