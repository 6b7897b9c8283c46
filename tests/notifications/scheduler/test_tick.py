"""Recovery: what the scheduler publishes, frees and leaves alone."""

import threading

import pytest
from django.db.models import F
from django.utils import timezone

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import DeadLetter, TickLease, from_now
from apps.notifications.scheduler import loop
from apps.notifications.scheduler.republisher import Republisher, free_lapsed
from apps.templates.models import Template
from tests.conftest import post, settled, timeline, wait_until
from tests.notifications.delivery.attempts import claim, record_sent


class RecordingBroker:
    """Stands in for the broker: which ids were published, and how much waits in each queue."""

    def __init__(self, ready=0):
        self.published = []
        self.ready = ready
        self.connects = 1

    def wake(self, lane, channel, ids):
        self.published += ids

    def ready_messages(self, lane):
        return self.ready


@pytest.fixture
def row(api, user, version, db):
    post(api, user, channels=["email"])
    return EmailLog.objects.get()


def republished(ready=0, connects=1):
    republisher = Republisher()
    republisher.broker.close()
    republisher.broker = RecordingBroker(ready)
    republisher._connects_seen = connects
    republisher.republish()
    return republisher.broker.published


@pytest.mark.parametrize(
    ("fields", "ready", "expected"),
    [
        ({"created_at": -1}, 0, False),  # the API process is about to publish it
        ({"created_at": -3}, 0, True),  # never confirmed by the broker
        ({"created_at": -100, "published_at": -50}, 0, False),
        ({"created_at": -100, "published_at": -61}, 0, True),  # its queue is empty
        ({"created_at": -100, "published_at": -61}, 7, False),  # it waits in its queue
        ({"created_at": -9999, "published_at": -901}, 7, True),  # too long for any queue
        ({"created_at": -100, "due_at": 60}, 0, False),  # not due
    ],
)
def test_what_is_published_again(fields, ready, expected, row):
    EmailLog.objects.update(**{name: from_now(seconds) for name, seconds in fields.items()})
    assert bool(republished(ready)) is expected
    if expected:
        assert (timezone.now() - EmailLog.objects.get().published_at).total_seconds() < 5


def test_a_new_connection_to_an_empty_queue_means_a_broker_that_lost_its_messages(row):
    EmailLog.objects.update(created_at=from_now(-100), published_at=from_now(-1))
    assert republished(connects=1) == []
    assert republished(connects=0) == [str(row.pk)]


@pytest.mark.parametrize(
    "status", ["sending", "sent", "failed", "cancelled", "unknown", "skipped", "expired"]
)
def test_nothing_but_queued_rows_is_published(status, row):
    EmailLog.objects.update(status=status, created_at=from_now(-1000))
    assert republished() == []


def test_a_dead_senders_row_is_named_unknown(row):
    EmailLog.objects.update(
        status="sending", lease_until=from_now(1), claimed_by="host:1:a", fence=F("fence") + 1
    )
    assert free_lapsed() == 0
    EmailLog.objects.update(lease_until=from_now(-1))
    assert free_lapsed() == 1
    row.refresh_from_db()
    assert (row.status, row.error_code) == ("unknown", "sender_lost")
    assert "host:1:a" in row.error_detail
    assert timeline(row.notification_id)[-1] == ("unknown", "sender_lost")
    assert DeadLetter.objects.get().reason == "unknown"


def test_a_dead_senders_row_is_sent_again_once_where_it_must_arrive(row):
    Template.objects.update(on_unknown="resend")
    EmailLog.objects.update(status="sending", lease_until=from_now(-1), fence=1)
    free_lapsed()
    row.refresh_from_db()
    assert (row.status, row.resends, row.published_at) == ("queued", 1, None)
    EmailLog.objects.update(status="sending", lease_until=from_now(-1), fence=2)
    free_lapsed()
    row.refresh_from_db()
    assert row.status == "unknown"


def test_a_claim_is_one_workers_alone(row):
    claims = [claim(row, name) for name in ("first", "second")]
    assert claims[0].claimed_by == "first"
    assert claims[1] is None


def test_a_late_answer_is_kept_but_never_over_anothers_claim(row):
    from apps.notifications.channels.outcome import Outcome, Result
    from apps.notifications.transitions import outcomes

    late = claim(row, "slow")
    EmailLog.objects.update(lease_until=from_now(-1))
    free_lapsed()
    assert record_sent(late, Outcome(Result.SENT, "accepted"))
    row.refresh_from_db()
    assert row.status == "sent"
    assert not DeadLetter.objects.filter(state="open").exists()

    EmailLog.objects.update(status="queued")
    claim(row, "next")
    assert not outcomes.record(late, Outcome(Result.RETRY, "later"), provider="smtp")
    row.refresh_from_db()
    assert (row.status, row.claimed_by) == ("sending", "next")


def test_one_scheduler_works_and_the_second_waits(transactional_db):
    assert loop.hold_lease("first")
    assert not loop.hold_lease("second")
    assert loop.hold_lease("first")
    TickLease.objects.update(lease_until=from_now(-1))
    assert loop.hold_lease("second")
    assert not loop.hold_lease("first")


def test_the_loop_publishes_what_the_publisher_never_did(api, user, version, unpublished, smtp, worker):
    stop = threading.Event()
    thread = threading.Thread(target=loop.run, args=(stop,))
    thread.start()
    try:
        post(api, user, channels=["email"])
        settled("sent", seconds=20)
    finally:
        stop.set()
        thread.join(10)
    assert not TickLease.objects.exists()
    wait_until(lambda: not thread.is_alive())
