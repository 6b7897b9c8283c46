"""A claim that is given back: what no sender has begun waits again, whatever a lease or an operator did meanwhile."""

import threading

import pytest
from django.conf import settings as project
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import DeadLetter, Event, from_now
from apps.notifications.scheduler import republisher
from apps.notifications.transitions import claims, dead_letters
from tests.conftest import deliver, post
from tests.notifications.delivery.attempts import claim


@pytest.fixture
def row(api, user, version, unpublished, transactional_db):
    """Claimed by `slow`, whose lease has run out."""
    post(api, user, channels=["email"])
    row = EmailLog.objects.get()
    claim(row, "slow")
    EmailLog.objects.update(lease_until=from_now(-1))
    return row


def test_a_row_that_a_lease_made_unknown_is_queued_again(row, smtp):
    republisher.free_lapsed()
    assert EmailLog.objects.get().status == "unknown"
    claims.give_back(EmailLog, "slow", [row.pk])
    given_back = EmailLog.objects.get()
    assert (given_back.status, given_back.attempts, given_back.error_code) == ("queued", 0, "")
    assert DeadLetter.objects.get().state == "discarded"
    entry = Event.objects.get(delivery_id=row.pk, kind="deferred")
    assert entry.data["code"] == "not_begun"
    deliver("email", [str(row.pk)])
    assert EmailLog.objects.get().status == "sent"
    assert len(smtp.wait_for(1)) == 1


def test_what_an_operator_has_discarded_is_not_sent(row):
    republisher.free_lapsed()
    assert dead_letters.discard(DeadLetter.objects.get(), by="operator")
    claims.give_back(EmailLog, "slow", [row.pk])
    assert EmailLog.objects.get().status == "unknown"


@pytest.mark.skipif(not project.ON_POSTGRES, reason="SQLite has one writer at a time.")
def test_a_lease_that_is_freed_at_this_moment_leaves_no_dead_letter_open(row, monkeypatch):
    """The scheduler's transaction is between its change of the row and its commit."""
    real, between, may_end = dead_letters.create, threading.Event(), threading.Event()

    def create(*args, **fields):
        between.set()
        assert may_end.wait(10)
        real(*args, **fields)

    def free():
        republisher.free_lapsed()
        connection.close()

    def give_back():
        claims.give_back(EmailLog, "slow", [row.pk])
        connection.close()

    monkeypatch.setattr(dead_letters, "create", create)
    threads = [threading.Thread(target=work) for work in (free, give_back)]
    threads[0].start()
    assert between.wait(10)
    threads[1].start()
    # It waits for the other's row; that it does can't be seen from here.
    threads[1].join(0.3)
    may_end.set()
    for thread in threads:
        thread.join(10)
    assert EmailLog.objects.get().status == "queued"
    assert list(DeadLetter.objects.values_list("state", flat=True)) == ["discarded"]


@pytest.mark.skipif(not project.ON_POSTGRES, reason="Plans are PostgreSQL's.")
def test_a_claim_that_came_to_nothing_reads_no_whole_table(row):
    """After an outage every slot of every worker gives its claim back."""
    with CaptureQueriesContext(connection) as queries:
        claims.give_back(EmailLog, "another")
    (update,) = [query["sql"] for query in queries if query["sql"].startswith("UPDATE")]
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(f"EXPLAIN {update}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("RESET enable_seqscan")
    assert "emaillog_lease" in plan
