"""The callbacks' worker killed in mid-call: every webhook event is delivered at least once, under one id."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db.models.functions import Now

from apps.notifications.models import Callback, CallbackAttempt
from tests.conftest import wait_until
from tests.support.webhook_receiver import Receiver, Say

COUNT = 100
KILLS = 4
BEFORE_EACH_KILL = 12
THREADS = 4
pytestmark = pytest.mark.chaos


def delivered():
    return Callback.objects.filter(status="delivered").count()


def all_delivered():
    # A callback that two kills in a row cut off would wait five minutes: make it due now.
    Callback.objects.filter(status="queued", attempts__gt=1, due_at__gt=Now()).update(due_at=Now())
    return delivered() == COUNT


def test_killed_workers_deliver_everything_at_least_once_under_one_id(make_system, key):
    cut = set()
    with Receiver() as hooks:
        system = make_system(CALLBACK_ALLOWED_HOSTS="127.0.0.1", WORKER_THREADS=str(THREADS))
        system.start_api()
        system.start_tick()
        system.start_worker("callbacks", "callbacks", threads=THREADS)
        with system.client(key) as client:
            secret = client.put("webhook-endpoints/", json={"url": hooks.url}).json()["data"]["secret"]
            with ThreadPoolExecutor(8) as pool:
                first = range(COUNT - KILLS * BEFORE_EACH_KILL)
                answers = list(pool.map(lambda _: client.post("webhook-endpoints/test/"), first))
            for _ in range(KILLS):
                before = delivered()
                wait_until(lambda before=before: delivered() > before, seconds=20)
                held = threading.Event()
                hooks.always = Say(hold=held)
                known = len(hooks.calls)
                answers += [client.post("webhook-endpoints/test/") for _ in range(BEFORE_EACH_KILL)]
                wait_until(lambda known=known: len(hooks.calls) > known, seconds=20)
                system.kill("callbacks")
                cut |= {call.id for call in hooks.calls[known:]}
                # The claimed rows belong to the dead worker: let their lease lapse now.
                Callback.objects.filter(status="sending").update(lease_until=Now())
                hooks.always = Say()
                held.set()
                system.start_worker("callbacks", "callbacks", threads=THREADS)
            assert {answer.status_code for answer in answers} == {202}
            made = {answer.json()["data"]["id"] for answer in answers}
            wait_until(all_delivered, seconds=60)

    assert {str(pk) for pk in Callback.objects.values_list("pk", flat=True)} == made
    arrived = Counter(call.id for call in hooks.calls)
    assert set(arrived) == made
    bodies = {(call.id, call.body) for call in hooks.calls}
    assert len(bodies) == len(made)
    for call in hooks.calls:
        call.verified(secret)
    # What was cut off may have arrived: each is logged as lost and tried again, and nothing else came twice.
    lost = {
        str(pk)
        for pk in CallbackAttempt.objects.filter(code="sender_lost").values_list("callback", flat=True)
    }
    assert len(cut) >= KILLS
    assert cut <= lost
    assert {pk for pk, count in arrived.items() if count > 1} <= lost
    assert all(arrived[pk] > 1 for pk in cut)
