"""A receiver that keeps its callers waiting does not slow the callbacks of others."""

import threading
from collections import Counter
from contextlib import ExitStack

import pytest

from apps.notifications.models import Callback
from apps.notifications.webhooks import client, concurrency
from apps.notifications.webhooks.concurrency import LONGEST_WAIT, ConcurrencyLimits
from tests.conftest import client_for, wait_until
from tests.support.factories import OrganizationFactory
from tests.support.webhook_calls import ENDPOINT, ended, put, send, tomorrow
from tests.support.webhook_receiver import Receiver, Say

OTHERS = 99


@pytest.fixture
def held():
    """Receivers answer once it is set."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def four_slots(settings, monkeypatch):
    """As many as the tests' worker has. A receiver that holds its answer is waited for longer than the test takes."""
    settings.WORKER_THREADS = 4
    monkeypatch.setattr(client, "TOTAL_SECONDS", 300.0)


def announce(caller):
    answer = caller.post(f"{ENDPOINT}test/")
    assert answer.status_code == 202, answer.content


def unfinished():
    return Callback.objects.filter(status__in=("queued", "sending"))


@pytest.mark.usefixtures("worker", "loopback", "four_slots")
def test_one_tarpit_among_a_hundred_delays_no_other(api, hooks, held, retry):
    with Receiver() as tarpit:
        tarpit.always = Say(hold=held)
        put(api, tarpit.url)
        for _ in range(30):
            announce(api)
        for _ in range(OTHERS):
            other = client_for(OrganizationFactory())
            put(other, hooks.url)
            announce(other)
        ended(count=OTHERS)
        assert len(hooks.calls) == OTHERS
        assert 1 <= len(tarpit.calls) <= 2

        held.set()

        def all_ended():
            retry()
            return not unfinished().exists()

        wait_until(all_ended, seconds=60)
        # A callback that was refused a slot used no attempt, and came back.
        assert set(Callback.objects.values_list("status", "attempts")) == {("delivered", 1)}
        assert Counter(Counter(call.id for call in tarpit.calls).values()) == {1: 30}


@pytest.mark.usefixtures("worker", "loopback", "four_slots", "version")
def test_an_organization_that_names_many_slow_hosts_is_one_organization(api, user, hooks, held):
    with ExitStack() as stack:
        tarpits = [stack.enter_context(Receiver()) for _ in range(6)]
        stack.callback(held.set)
        for tarpit in tarpits:
            tarpit.always = Say(hold=held)
            later = send(api, user, scheduled_at=tomorrow(), callback_url=tarpit.url)
            assert api.post(f"/api/v1/notifications/{later['id']}/cancel/").status_code == 200
        other = client_for(OrganizationFactory())
        put(other, hooks.url)
        announce(other)
        ended()
        assert len(hooks.calls) == 1
        assert sum(len(tarpit.calls) for tarpit in tarpits) <= 2
        held.set()
        wait_until(lambda: not Callback.objects.filter(status="sending").exists())


def test_half_of_the_slots_for_one_that_is_quick(settings, monkeypatch):
    settings.WORKER_THREADS = 8
    monkeypatch.setattr(concurrency, "PATIENCE_SECONDS", 0.01)
    limits = ConcurrencyLimits()
    with ExitStack() as stack:
        assert [stack.enter_context(limits.take("org", "host")) for _ in range(4)] == [0.0] * 4
        # Full for the one name is full for both.
        assert stack.enter_context(limits.take("org", "elsewhere")) > 0
        assert stack.enter_context(limits.take("another", "host")) > 0
        assert stack.enter_context(limits.take("another", "elsewhere")) == 0.0
    with limits.take("org", "host") as wait:
        assert wait == 0.0


def test_a_quick_one_waits_for_a_slot_that_is_given_back(settings, monkeypatch):
    settings.WORKER_THREADS = 2
    monkeypatch.setattr(concurrency, "PATIENCE_SECONDS", 60.0)
    limits, got, taking = ConcurrencyLimits(), [], threading.Event()

    def take():
        taking.set()
        with limits.take("org", "host") as wait:
            got.append(wait)

    second = threading.Thread(target=take, daemon=True)
    with limits.take("org", "host") as first:
        second.start()
        assert taking.wait(10)
    second.join(10)
    assert (first, got) == (0.0, [0.0])


def test_an_eighth_for_a_slow_one_and_growing_delays_for_the_rest(settings, monkeypatch):
    settings.WORKER_THREADS = 16
    limits = ConcurrencyLimits()
    with limits.take("org", "host"):
        # From here on its one running call takes too long.
        monkeypatch.setattr(concurrency, "SLOW_SECONDS", -1.0)
        with limits.take("org", "host") as second:
            delays = []
            for _ in range(2000):
                with limits.take("org", "host") as wait:
                    delays.append(wait)
    assert second == 0.0
    assert delays[:50] == sorted(delays[:50])
    assert 0 < delays[0] < delays[49]
    assert max(delays) <= LONGEST_WAIT


def test_many_threads_never_get_more_than_the_limit(settings, monkeypatch):
    settings.WORKER_THREADS = 8
    monkeypatch.setattr(concurrency, "PATIENCE_SECONDS", 10.0)
    limits, lock, inside, most = ConcurrencyLimits(), threading.Lock(), 0, 0

    def call():
        nonlocal inside, most
        for _ in range(50):
            with limits.take("org", "host") as wait:
                assert wait == 0.0
                with lock:
                    inside += 1
                    most = max(most, inside)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=call) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert 1 <= most <= 4
    assert inside == 0
