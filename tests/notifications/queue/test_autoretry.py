"""Why a sender waits for a database in its slot, and does not use Celery's `autoretry_for`: see ADR 12.

A task that is retried by Celery goes back to its queue with a time, and the worker that gets it holds it until then.
On a quorum queue such messages fill the worker's prefetch: what arrives behind them is not delivered, though nothing
runs and the database may be back. When this test fails, the decision can be made anew.
"""

import os
import subprocess
import sys
import uuid

import pytest
from celery import Celery
from kombu import Exchange, Queue

from apps.notifications.queue.broker import _ARGUMENTS
from tests.conftest import wait_until
from tests.environment import ROOT

APP = """
import os, sys, time
import django
django.setup()
from celery import Celery
from kombu import Exchange, Queue
from apps.notifications.queue.broker import _ARGUMENTS
name, log = os.environ["QUEUE"], os.environ["LOG"]
app = Celery("retries", broker=os.environ["BROKER_URL"])
queue = Queue(name, exchange=Exchange(name, type="direct"), routing_key=name, queue_arguments=_ARGUMENTS)
app.conf.update(
    task_queues=[queue], task_acks_late=True, task_ignore_result=True, worker_prefetch_multiplier=1,
    task_default_exchange=name, task_default_routing_key=name, task_default_queue=name,
    worker_consumer="apps.notifications.queue.consumer:Consumer",
)

def say(line):
    with open(log, "a") as file:
        file.write(line + "\\n")

@app.task(name="away", bind=True, autoretry_for=(ConnectionError,), retry_backoff=4, retry_jitter=False)
def away(self):
    say(f"away {self.request.retries}")
    if not self.request.retries:
        raise ConnectionError("the database is away")

@app.task(name="behind")
def behind():
    say("behind")
"""


@pytest.fixture
def retries(tmp_path, settings):
    """A worker of two threads; sends tasks by name, and has what they say in order."""
    name = f"retries-{uuid.uuid4().hex[:8]}"
    (tmp_path / "retries.py").write_text(APP)
    log = tmp_path / "log"
    log.touch()
    environment = {
        **os.environ, "QUEUE": name, "LOG": str(log), "BROKER_URL": settings.BROKER_URL,
        "DJANGO_SETTINGS_MODULE": "notifier.settings", "PYTHONPATH": f"{tmp_path}:{ROOT}",
    }  # fmt: skip
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "retries",
        "worker",
        "-P",
        "threads",
        "-c",
        "2",
        "-Q",
        name,
    ]
    worker = subprocess.Popen(
        [*command, "-l", "ERROR", "--without-mingle", "--without-gossip"],
        env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    sender = Celery("retries", broker=settings.BROKER_URL)
    queue = Queue(
        name, exchange=Exchange(name, type="direct"), routing_key=name,
        queue_arguments=_ARGUMENTS,
    )  # fmt: skip

    def send(task):
        sender.send_task(task, exchange=name, routing_key=name)

    with sender.connection_for_write() as connection:
        queue(connection.channel()).declare()
        try:
            yield send, lambda: log.read_text().split("\n")[:-1]
        finally:
            worker.kill()
            worker.wait()
            channel = connection.channel()
            channel.queue_delete(name)
            channel.exchange_delete(name)


def test_a_retry_of_celerys_keeps_what_comes_behind_it_waiting(retries):
    send, lines = retries
    for _ in range(6):
        send("away")
    wait_until(lambda: lines().count("away 0") == 6, seconds=60)
    # Nothing runs now, and the worker has two threads.
    send("behind")
    wait_until(lambda: "behind" in lines(), seconds=60)
    assert lines().index("behind") > lines().index("away 1")
