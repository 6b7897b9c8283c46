"""Rate limits, shared by workers: as arithmetic, in Redis, and through the whole path."""

import random
import threading
import time

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.routing import accounts, rate_limit
from apps.notifications.routing.accounts import Account
from apps.notifications.routing.rate_limit import PATIENCE, LocalPace
from notifier.local import fcm_answers
from tests.conftest import post, settled, timeline, wait_until


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(
    rate=st.floats(min_value=0.5, max_value=50),
    gaps=st.lists(st.floats(min_value=0, max_value=0.5), min_size=1, max_size=200),
)
def test_no_second_gets_more_than_its_allowance_and_one_burst(rate, gaps):
    clock = Clock()
    pace = LocalPace(clock)
    granted = []
    for gap in gaps:
        clock.now += gap
        reservation = pace.take([("x", rate)])
        if reservation.granted:
            granted.append(clock.now + reservation.wait)
            assert reservation.wait <= PATIENCE
        else:
            assert reservation.wait > 0
    for begin in granted:
        within = [at for at in granted if begin <= at < begin + 1]
        assert len(within) <= 2 * max(1.0, rate) + 1.001


def test_domains_of_long_ago_are_forgotten(monkeypatch):
    monkeypatch.setattr(rate_limit, "NAMES_KEPT", 100)
    clock = Clock()
    pace = LocalPace(clock)
    for number in range(1_000):
        clock.now += 0.1
        assert pace.take([("account", 100), (f"account:{number}.test", 1)]).granted
    assert len(pace._used) <= 101
    # What is not past counts on.
    for _ in range(2):
        pace.take([("account:busy.test", 1)])
    monkeypatch.setattr(pace, "_look_at", 0)
    assert pace.take([("account:busy.test", 1)]).wait > 0


def test_those_put_off_get_time_slots_one_after_the_other():
    clock = Clock()
    pace = LocalPace(clock)
    while pace.take([("x", 10)]).granted:
        pass
    delays = [pace.take([("x", 10)]).wait for _ in range(50)]
    steps = [after - before for before, after in zip(delays, delays[1:], strict=False)]
    assert steps == pytest.approx([0.1] * 49)


def test_the_narrower_of_two_limits_decides_and_costs_the_other_nothing():
    clock = Clock()
    pace = LocalPace(clock)
    both = [("account", 100), ("account:slow.test", 1)]
    taken = sum(pace.take(both).granted for _ in range(50))
    assert taken < 5
    assert all(pace.take([("account", 100)]).wait == 0 for _ in range(90))


def test_redis_and_the_local_fallback_agree(transactional_db):
    """The same requests at the same moment, in both, but for the time that the calls take."""
    for _ in range(10):
        name, rate = f"alike-{random.random()}", random.choice([1, 3, 10, 40])
        local, apart = LocalPace(), 0.0
        for _ in range(60):
            began = time.monotonic()
            here, there = local.take([(name, rate)]), rate_limit._take([(name, rate)])
            apart = max(apart, time.monotonic() - began)
            assert here.wait == pytest.approx(there.wait, abs=0.05 + apart)


def test_of_many_threads_no_more_go_than_are_allowed(transactional_db):
    account = Account(f"crowd-{random.random()}", rate=20)
    gone = []

    def go():
        for _ in range(10):
            if rate_limit.refusal(account, "") is None:
                gone.append(time.monotonic())

    threads = [threading.Thread(target=go) for _ in range(10)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    # A second's allowance at once, and then the pace.
    assert len(gone) <= 20 * (took + 1) + 1


def test_many_complaints_of_one_moment_are_one(transactional_db):
    account = Account(f"burst-{random.random()}", rate=64)
    for _ in range(8):
        rate_limit.slow_down(account)
    assert rate_limit._slowed.rate(account.name) == 32
    scripts = rate_limit._scripts.run(
        "return redis.call('GET', KEYS[1])", keys=[rate_limit._slow_key(account.name)], args=[]
    )
    assert float(scripts) == 32
    rate_limit.forget(account.name)


@pytest.fixture(params=["in Redis", "in this process"])
def impatient(request, monkeypatch):
    """No sender thread waits in its slot; with Redis, and without."""
    if request.param == "in this process":
        monkeypatch.setattr(rate_limit._scripts, "run", lambda *_, **__: None)
    monkeypatch.setattr(rate_limit, "PATIENCE", 0.0)


def test_a_complaint_puts_no_message_off_for_longer_than_it_counts(impatient, transactional_db):
    account = Account(f"queue-{random.random()}", rate=2)
    rate_limit.slow_down(account)
    delays = [outcome.wait for _ in range(200) if (outcome := rate_limit.refusal(account, "")) is not None]
    assert max(delays) <= rate_limit.SLOWED_SECONDS
    assert sum(wait > 50 for wait in delays) > 100
    rate_limit.forget(account.name)


def test_what_is_urgent_does_not_wait_behind_a_backlog(impatient, transactional_db):
    account = Account(f"lanes-{random.random()}", rate=1)
    for _ in range(100):
        rate_limit.refusal(account, "")
    assert rate_limit.refusal(account, "").wait > 60
    assert rate_limit.refusal(account, "", urgent=True).wait < 5


@pytest.mark.usefixtures("worker", "version")
class TestPath:
    def test_beyond_its_allowance_a_message_gets_a_time_slot_and_uses_no_attempt(
        self, api, user, smtp, settings, time_passes
    ):
        settings.EMAIL_PROVIDER_URL += "&rate=1"
        accounts.close_all()
        ids = [post(api, user, channels=["email"]).json()["data"]["id"] for _ in range(8)]
        wait_until(lambda: EmailLog.objects.filter(error_code="paced").exists())
        row = EmailLog.objects.filter(error_code="paced").first()
        assert (row.status, row.attempts) == ("queued", 0)
        assert row.due_at > timezone.now()
        for _ in range(8):
            if not EmailLog.objects.filter(status="queued").exists():
                break
            time_passes()
            wait_until(lambda: not EmailLog.objects.filter(status="sending").exists())
        settled("sent", seconds=30)
        assert len(smtp.wait_for(8)) == 8
        kinds = [timeline(one) for one in ids]
        assert [("accepted", ""), ("deferred", "paced"), ("sent", "")] in kinds

    def test_one_domain_does_not_hold_up_another(self, api, user, smtp, settings):
        settings.EMAIL_PROVIDER_URL += "&domain_rate=0.5"
        accounts.close_all()
        for n in range(5):
            to = {
                "email": f"person{n}@slow-{timezone.now().timestamp()}.test" if n == 4 else f"p{n}@crowd.test"
            }
            post(api, recipient=to, channels=["email"])
        wait_until(lambda: EmailLog.objects.filter(status="sent", email__startswith="person4").exists())
        wait_until(lambda: EmailLog.objects.filter(error_code="paced", email__endswith="crowd.test").exists())

    def test_a_provider_that_complains_is_slowed_for_all(self, api, user, fcm, monkeypatch):
        monkeypatch.setattr(rate_limit, "IGNORE_SECONDS", 0.001)
        fcm.script("ada-phone-token-0001", fcm_answers.quota("60"))
        post(api, user, channels=["push"])
        wait_until(lambda: rate_limit._slowed.rate("fcm") > 0)
        assert rate_limit._slowed.rate("fcm") == rate_limit.MIN_ASSUMED_RATE / 2
        account = Account("fcm")
        for _ in range(5):
            time.sleep(0.01)
            rate_limit.slow_down(account)
        assert rate_limit._slowed.rate("fcm") == rate_limit.MIN_RATE
        rate_limit.forget("fcm")
        assert rate_limit._slowed.rate("fcm") == 0
