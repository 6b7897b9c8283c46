"""Group commit: each thread gets its own result, and no thread's error or end affects another."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection

from apps.notifications.acceptance import backpressure, submission
from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import Notification
from apps.notifications.password_reset import email
from apps.notifications.queue.broker import publisher
from notifier.lib.database import sql
from notifier.lib.database.group_commit import GroupCommit
from tests.conftest import post
from tests.support.factories import OrganizationFactory, UserFactory


class Work:
    """Doubles numbers, waiting while `held` is cleared; records which numbers came in one group."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.held = threading.Event()
        self.held.set()
        self.error: Callable[[Sequence[int]], Exception | None] = lambda _: None

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.groups.append(list(numbers))
        assert self.held.wait(10)
        if (error := self.error(numbers)) is not None:
            raise error
        return [number * 2 for number in numbers]


@pytest.fixture
def work() -> Work:
    return Work()


def submit_meanwhile(
    group_commit: GroupCommit[int, int],
    work: Work,
    pool: ThreadPoolExecutor,
    numbers: Sequence[int],
    submit: Callable[[int], int] | None = None,
) -> list[Future[int]]:
    """Submit the first number and, while its work is in progress, the others."""
    submit = submit or (lambda number: group_commit.submit("key", number))
    work.held.clear()
    futures = [pool.submit(submit, numbers[0])]
    _until(lambda: work.groups == [[numbers[0]]])
    futures += [pool.submit(submit, number) for number in numbers[1:]]
    _until(lambda: len(group_commit._waiting["key"]) == len(numbers) - 1)
    work.held.set()
    return futures


def _until(so: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not so():
        assert time.monotonic() < ends
        time.sleep(0.001)


def test_a_single_item_is_not_delayed(work):
    group_commit = GroupCommit(work, most=10)
    assert [group_commit.submit("key", number) for number in (1, 2)] == [2, 4]
    assert work.groups == [[1], [2]]


def test_items_that_arrive_meanwhile_are_served_together(work):
    group_commit = GroupCommit(work, most=3)
    with ThreadPoolExecutor(8) as pool:
        futures = submit_meanwhile(group_commit, work, pool, range(1, 7))
        assert [one.result(10) for one in futures] == [2, 4, 6, 8, 10, 12]
    assert [len(group) for group in work.groups] == [1, 3, 2]
    assert group_commit._waiting == {}


def test_another_key_does_not_wait(work):
    group_commit = GroupCommit(work, most=10)
    with ThreadPoolExecutor(8) as pool:
        work.held.clear()
        pool.submit(group_commit.submit, "key", 1)
        other = pool.submit(group_commit.submit, "another", 2)
        _until(lambda: sorted(work.groups) == [[1], [2]])
        work.held.set()
        assert other.result(10) == 4


def test_an_error_reaches_only_the_thread_whose_item_caused_it(work):
    group_commit = GroupCommit(work, most=10)
    work.error = lambda numbers: ValueError("three") if 3 in numbers else None
    with ThreadPoolExecutor(8) as pool:
        futures = submit_meanwhile(group_commit, work, pool, (1, 2, 3, 4))
        assert [one.result(10) for one in (futures[0], futures[1], futures[3])] == [2, 4, 8]
        with pytest.raises(ValueError, match="three"):
            futures[2].result(10)
    assert [len(group) for group in work.groups] == [1, 3, 1, 1, 1]
    assert group_commit.submit("key", 5) == 10


def test_after_a_deadlock_each_item_is_tried_by_itself(work, db):
    group_commit = GroupCommit(work, most=10)
    work.error = lambda numbers: OperationalError("deadlock") if {2, 3} <= set(numbers) else None

    def submit(number: int) -> int:
        connection.ensure_connection()
        try:
            return group_commit.submit("key", number)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        futures = submit_meanwhile(group_commit, work, pool, (1, 2, 3, 4), submit)
        assert [one.result(10) for one in futures] == [2, 4, 6, 8]


def test_nothing_is_retried_when_the_connection_is_lost(work):
    group_commit = GroupCommit(work, most=10)
    work.error = lambda numbers: OperationalError("gone") if 3 in numbers else None
    with ThreadPoolExecutor(8) as pool:
        futures = submit_meanwhile(group_commit, work, pool, (1, 2, 3, 4))
        assert futures[0].result(10) == 2
        for one in futures[1:]:
            with pytest.raises(OperationalError, match="gone"):
                one.result(10)
    assert [len(group) for group in work.groups] == [1, 3]
    assert group_commit.submit("key", 5) == 10


def test_a_leader_that_ends_leaves_no_waiter_asleep(work):
    group_commit = GroupCommit(work, most=10)
    ended: list[SystemExit] = [SystemExit()]
    work.error = lambda numbers: ended.pop() if ended and len(numbers) > 1 else None  # type: ignore[return-value]
    with ThreadPoolExecutor(8) as pool:
        futures = submit_meanwhile(group_commit, work, pool, (1, 2, 3, 4))
        results = [one.exception(10) or one.result() for one in futures]
    assert sorted(map(str, results)) == ["", "2", "6", "8"]
    assert group_commit._waiting == {}


def test_thousands_from_many_threads(work):
    group_commit = GroupCommit(work, most=10)
    with ThreadPoolExecutor(16) as pool:
        numbers = range(5_000)
        assert list(pool.map(lambda n: group_commit.submit(n % 2, n), numbers)) == [n * 2 for n in numbers]
    assert sorted(number for group in work.groups for number in group) == list(numbers)
    assert group_commit._waiting == {}


# --- Through the API --------------------------------------------------------------------------------------


@pytest.fixture
def first_is_slow(monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], threading.Event]:
    """How many notifications each statement stored; the first statement waits for the event."""
    stored, go_on = [], threading.Event()

    def insert(*groups: Sequence[Any]) -> None:
        stored.append(len(groups[0]))
        if len(stored) == 1:
            assert go_on.wait(10)
        sql.insert(*groups)

    monkeypatch.setattr(submission, "insert", insert)
    return stored, go_on


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("unpublished")
def test_posts_at_the_same_time_are_stored_together_and_answered_apart(
    organization, user, version, api, first_is_slow
):
    stored, go_on = first_is_slow
    address = {"email": "grace@example.com"}
    bodies = [
        {"recipient": address, "request_id": "slow"},
        {"user_id": str(user.pk), "request_id": "a"},
        {"user_id": str(user.pk), "request_id": "a"},
        {"recipient": address, "request_id": "a"},
        {"recipient": address, "template_code": "nothing"},
        {"recipient": address, "variables": {}},
        {"recipient": address, "metadata": {"correlation_id": "own"}},
    ]

    def send(body: dict[str, Any]) -> Any:
        try:
            return post(api, **body)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(send, bodies[0])]
        _until(lambda: len(stored) == 1)
        for waiting, body in enumerate(bodies[1:], 1):
            answers.append(pool.submit(send, body))
            _until(lambda waiting=waiting: sum(map(len, submission._singles._waiting.values())) == waiting)
        go_on.set()
        results = [answer.result(20) for answer in answers]

    assert [answer.status_code for answer in results] == [202, 202, 202, 422, 400, 400, 202]
    assert results[1].json()["data"] == results[2].json()["data"]
    assert results[3].json()["error"] == "request_id_reused"
    assert results[4].json()["errors"][0]["field"] == "template_code"
    assert results[5].json()["errors"][0]["field"] == "variables.name"
    assert stored == [1, 2]
    assert Notification.objects.count() == 3
    addresses = sorted(row.recipient for row in EmailLog.objects.all())
    assert addresses == ["ada@example.com", "grace@example.com", "grace@example.com"]
    assert Notification.objects.filter(correlation_id="own").count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("unpublished")
def test_password_resets_keep_to_their_organization(first_is_slow, settings):
    """They share the caller's name, and nothing else."""
    settings.PUBLIC_URL = "https://notify.test"
    stored, go_on = first_is_slow
    people = [
        UserFactory(organization=OrganizationFactory(slug=slug), email=f"person@{slug}.test")
        for slug in "abc"
    ]

    def reset(person: Any) -> None:
        try:
            email.send(person, correlation_id="")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(reset, people[0])]
        _until(lambda: len(stored) == 1)
        futures += [pool.submit(reset, person) for person in people[1:]]
        # Done already, or (wrongly) waiting for the slow statement.
        _until(lambda: EmailLog.objects.count() + sum(map(len, submission._singles._waiting.values())) == 2)
        go_on.set()
        for one in futures:
            one.result(20)
    mails = EmailLog.objects.order_by("email").values_list("email", "organization__slug")
    assert list(mails) == [(f"person@{slug}.test", slug) for slug in "abc"]


@pytest.mark.django_db(transaction=True)
def test_a_failed_wake_up_stores_nothing_twice(user, version, api, first_is_slow, monkeypatch):
    def wake(rows: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(publisher, "wake", wake)
    stored, go_on = first_is_slow

    def send(_: int) -> int:
        try:
            return int(post(api, user, channels=["email"]).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(send, 0)]
        _until(lambda: len(stored) == 1)
        futures += [pool.submit(send, n) for n in range(1, 4)]
        _until(lambda: sum(map(len, submission._singles._waiting.values())) == 3)
        go_on.set()
        assert [one.result(20) for one in futures] == [202] * 4
    assert (stored, Notification.objects.count()) == ([1, 3], 4)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("unpublished")
def test_a_refused_bulk_post_does_not_fail_others(user, version, api, first_is_slow, settings, monkeypatch):
    monkeypatch.setattr(backpressure, "gauge", backpressure.Gauge())
    settings.BULK_HIGH_WATER = 1
    stored, go_on = first_is_slow

    def send(priority: int) -> Any:
        try:
            return post(api, user, priority=priority, channels=["email"]).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        slow = pool.submit(send, 1)
        _until(lambda: len(stored) == 1)
        monkeypatch.setattr(backpressure.gauge, "is_full", lambda organization: True)
        others = [pool.submit(send, priority) for priority in (5, 1, 9)]
        _until(lambda: sum(map(len, submission._singles._waiting.values())) == 3)
        go_on.set()
        assert slow.result(20) == 202
        assert [one.result(20) for one in others] == [202, 503, 202]
    assert stored == [1, 2]
