"""The broker away in every way it can be: everything is still accepted at once, and sent once after it is back."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from apps.notifications.channels.email.log import EmailLog
from tests.conftest import wait_until
from tests.outages.conftest import copies, counts, post_many, to_address

COUNT = 500
pytestmark = pytest.mark.chaos

OUTAGES = {
    "refused": (lambda rabbit: rabbit.refuse(), lambda rabbit: rabbit.start()),
    "memory alarm": (lambda rabbit: rabbit.memory_alarm(True), lambda rabbit: rabbit.memory_alarm(False)),
    "frozen": (lambda rabbit: rabbit.freeze(), lambda rabbit: rabbit.thaw()),
}


def running(make_system, rabbit, smtp, key):
    """A system that has sent a first message, so that every connection stands when the broker goes."""
    system = make_system(broker_url=rabbit.url)
    system.start_api()
    system.start_worker("email", "email")
    system.start_tick()
    system.wait_ready("email")
    with system.client(key) as client:
        assert client.post("notifications/", json=to_address(999_999)).status_code == 202
    smtp.wait_for(1, timeout=20)
    return system


def post_timed(system, key):
    took = []

    def timed(client, n):
        began = time.monotonic()
        answer = client.post("notifications/", json=to_address(n))
        took.append(time.monotonic() - began)
        return answer

    with system.client(key) as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: timed(client, n), range(COUNT)))
    return answers, max(took)


@pytest.mark.parametrize("outage", OUTAGES)
def test_nothing_waits_for_the_broker_and_nothing_is_lost(outage, rabbit, make_system, smtp, key):
    take_away, bring_back = OUTAGES[outage]
    system = running(make_system, rabbit, smtp, key)

    take_away(rabbit)
    try:
        answers, slowest = post_timed(system, key)
        assert {answer.status_code for answer in answers} == {202}
        assert slowest < 1.0
    finally:
        bring_back(rabbit)
    back = time.monotonic()

    smtp.wait_for(2, timeout=30)
    assert time.monotonic() - back < 10
    wait_until(lambda: counts()["sent"] == COUNT + 1, seconds=90)
    assert counts() == {"sent": COUNT + 1}
    assert set(copies(smtp).values()) == {1}


def test_a_wiped_broker_costs_time_and_nothing_else(rabbit, make_system, smtp, key):
    system = make_system(broker_url=rabbit.url)
    system.start_api()
    system.start_tick()
    with system.client(key) as client:
        answers = post_many(client, COUNT, to_address)
    assert {answer.status_code for answer in answers} == {202}
    wait_until(lambda: not EmailLog.objects.filter(published_at=None).exists(), seconds=20)

    rabbit.wipe()
    system.start_worker("email", "email")

    wait_until(lambda: counts()["sent"] == COUNT, seconds=120)
    assert counts() == {"sent": COUNT}
    assert set(copies(smtp).values()) == {1}
