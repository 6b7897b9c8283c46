"""Many rows at once: claimed, sent by as many sender threads as help, written together; none holds up another."""

import re
import sys
import threading
import uuid
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.notifications.delivery import sender
from apps.notifications.delivery.runtime import runtime
from apps.notifications.delivery.send_slots import SendSlots
from apps.notifications.models import CallbackAttempt, Event, Notification, WebhookEndpoint, from_now
from apps.notifications.transitions import claims
from apps.notifications.transitions.claims import BulkRoundRobin
from apps.users.models import NotificationPreference
from tests.conftest import client_for, deliver, deliveries, post, settled, timeline, wait_until
from tests.notifications.acceptance.test_batches import item
from tests.notifications.acceptance.test_batches import post as post_batch
from tests.support.factories import DeviceFactory, OrganizationFactory, UserFactory, template_with
from tests.support.smtp_server import Hold, Stall

pytestmark = pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="tests/local has what SQLite does."
)


@pytest.fixture
def waiting(api, version, unpublished, transactional_db):
    """Accepts so many bulk mails, whose wake-ups are not published; returns their ids."""

    def accept(count, client=api, **fields):
        answer = post_batch(client, *(item(n, **fields) for n in range(count)))
        assert answer.json()["data"]["accepted"] == count
        return [row["deliveries"][0]["id"] for row in answer.json()["data"]["results"]]

    return accept


@pytest.fixture
def slots(monkeypatch):
    def set_to(limit):
        monkeypatch.setattr(runtime, "slots", SendSlots(limit))
        monkeypatch.setattr(sender, "_paces", {})

    return set_to


def taken(smtp, count):
    mails = smtp.wait_for(count)
    return Counter(mail.recipients[0] for mail in mails)


def test_a_batch_arrives_once_each_and_is_in_every_timeline(api, user, version, smtp, fcm, worker, settings):
    settings.DEVICES_A_PERSON = 200
    for n in range(150):
        DeviceFactory(user=user, token=f"another-phone-{n:04}")
    answer = post_batch(api, *(item(n) for n in range(250)))
    post_batch(api, {"user_id": str(user.pk), "template_code": "hello", "variables": {"name": "Ada"}})
    settled("sent", seconds=60)
    assert set(taken(smtp, 251).values()) == {1}
    assert len(fcm.messages) == 151
    for result in answer.json()["data"]["results"][::50]:
        kinds = [kind for kind, _ in timeline(result["id"])]
        assert kinds == ["accepted", "sent"]
    entry = Event.objects.filter(kind="sent", channel="email").first()
    assert entry.data["provider"] == "smtp"
    assert entry.data["attempt"] == 1
    assert "250" in entry.data["detail"]


def test_fifty_cost_no_more_statements_than_five(waiting, smtp, slots, monkeypatch):
    """On a machine that is quick enough for one sender thread, and for one time of writing down."""
    slots(1)
    monkeypatch.setattr(sender, "RECORD_BULK_EVERY_SECONDS", 60)
    monkeypatch.setattr(runtime, "watch", lambda claimed_batch: None)
    deliver("email", waiting(1), bulk=True)  # reads the version's sources, for good
    statements = []
    for count in (5, 50):
        ids = waiting(count)
        with CaptureQueriesContext(connection) as queries:
            deliver("email", ids, bulk=True)
        statements.append(len(queries))
        assert {row.status for row in deliveries()} == {"sent"}
    assert statements[0] == statements[1]
    assert len(smtp.wait_for(56)) == 56


def test_a_row_was_sent_when_its_answer_came_whenever_that_is_written(waiting, smtp, slots, monkeypatch):
    slots(1)
    monkeypatch.setattr(sender, "RECORD_BULK_EVERY_SECONDS", 60)
    monkeypatch.setattr(runtime, "watch", lambda claimed_batch: None)
    ids = waiting(2)
    smtp.recipients = {"person1@example.com": {"dot": (Stall(0.5), "250 ok")}}
    deliver("email", ids, bulk=True)
    first, second = EmailLog.objects.order_by("email")
    assert second.sent_at - first.sent_at > timedelta(seconds=0.4)
    assert (first.finished_at, second.finished_at) == (first.sent_at, second.sent_at)
    noted = Event.objects.filter(kind="sent").order_by("at").values_list("delivery_id", "at")
    assert list(noted) == [(first.pk, first.sent_at), (second.pk, second.sent_at)]


@pytest.fixture
def quick_switches():
    """The interpreter goes from thread to thread as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def delivery(number, organization="acme"):
    return SimpleNamespace(pk=number, organization_id=organization)


def test_no_outcome_is_lost_between_sender_threads(slots, monkeypatch, quick_switches):
    """Some are written down while others come in."""
    slots(8)
    written, closed = [], []
    monkeypatch.setattr(sender, "RECORD_AT", 2)
    monkeypatch.setattr(sender, "WORTH_A_SLOT", 0.0)
    monkeypatch.setattr(sender, "record_attempts", written.extend)
    monkeypatch.setattr(sender, "send_row", lambda claimed_batch, attempt: attempt)
    monkeypatch.setattr(runtime.journal, "close", closed.append)
    claimed_batch = sender.Batch(
        EmailLog, [delivery(n) for n in range(20_000)], token="", segment="file", expires=0.0, bulk=False
    )
    claimed_batch.work()
    runtime.slots.join()
    assert sorted(one.delivery.pk for one in written) == list(range(20_000))
    assert not runtime.slots._sending
    assert closed == ["file"]


def test_a_batch_ends_when_all_is_recorded_by_whichever_thread(slots, monkeypatch):
    slots(1)
    began, may_end, written = threading.Event(), threading.Event(), []

    def record_all(done):
        if threading.current_thread() is looking:
            began.set()
            assert may_end.wait(10)
        written.extend(done)

    def send(claimed_batch, attempt):
        if attempt.delivery == 1:
            looking.start()
            assert began.wait(10)
            threading.Timer(0.2, may_end.set).start()
        return attempt

    monkeypatch.setattr(sender, "record_attempts", record_all)
    monkeypatch.setattr(sender, "send_row", send)
    monkeypatch.setattr(sender, "RECORD_BULK_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(runtime, "watch", lambda claimed_batch: None)
    monkeypatch.setattr(runtime.journal, "close", lambda segment: written.append(segment))
    claimed_batch = sender.Batch(EmailLog, [0, 1, 2], token="", segment="file", expires=0.0, bulk=True)
    looking = threading.Thread(target=claimed_batch.look)
    claimed_batch.work()
    assert [getattr(one, "delivery", one) for one in written] == [0, 1, 2, "file"]


def test_bulk_mail_waits_longer_for_a_slow_relay(slots, monkeypatch):
    """What is given back after two seconds would be claimed again and again."""
    slots(2)
    given_back = []
    monkeypatch.setattr(sender.claims, "give_back", lambda model, token, rows: given_back.extend(rows))
    rows = [delivery(n) for n in range(3)]
    for bulk in (True, False):
        claimed_batch = sender.Batch(EmailLog, rows, token="", segment=None, expires=0.0, bulk=bulk)
        monkeypatch.setattr(claimed_batch, "_get_help", lambda: False)
        claimed_batch._taken_at -= 5
        claimed_batch.look()
        assert given_back == ([] if bulk else [0, 1, 2])


@pytest.mark.parametrize(
    "picked",
    ["_NAMED", "_NAMED_AND_LONGEST", "_NEXT_OF_ORGANIZATION", "_OF_ORGANIZATION", "_REST_OF_ORGANIZATION"],
)
def test_a_claim_never_reads_the_whole_table(picked, waiting):
    """By the plan that a prepared statement comes to, with statistics of a large backlog."""
    waiting(100)
    names = []

    def numbered(found):
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    text = claims._filled(claims._TAKE, EmailLog, getattr(claims, picked), 100)
    text = re.sub(r"%\((\w+)\)s", numbered, text)
    values = {
        "token": ("text", "'t'"), "lease": ("float8", "600"), "organization": ("uuid", f"'{uuid.uuid4()}'"),
        "ids": ("uuid[]", "'{}'"), "waited": ("int", "1"),
        "excluded": ("uuid[]", "'{}'"),
    }  # fmt: skip
    with connection.cursor() as cursor:
        fresh = {"id": "gen_random_uuid()", "request_id": "NULL"}
        for model in (EmailLog, Notification):
            table = model._meta.db_table
            columns = [field.column for field in model._meta.concrete_fields]
            copied = ", ".join(fresh.get(column, column) for column in columns)
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(columns)})"  # noqa: S608 - our own names
                f" SELECT {copied} FROM {table}, generate_series(1, 200)"
            )
            cursor.execute(f"ANALYZE {table}")
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        cursor.execute(f"PREPARE claim ({', '.join(values[name][0] for name in names)}) AS {text}")
        cursor.execute(f"EXPLAIN EXECUTE claim ({', '.join(values[name][1] for name in names)})")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("DEALLOCATE claim")
        cursor.execute("RESET plan_cache_mode")
    assert "Seq Scan on notifications_emaillog" not in plan, plan
    assert "Seq Scan on notifications_notification" not in plan, plan


def test_what_is_wrong_with_one_is_its_own(api, organization, user, waiting, smtp):
    smtp.recipients = {
        "person1@example.com": {"rcpt": "550 5.1.1 no such user"},
        "person2@example.com": {"rcpt": "450 4.2.1 later"},
    }
    bob = UserFactory(organization=organization, email="bob@example.com")
    ids = waiting(4)
    post_batch(
        api,
        {"user_id": str(bob.pk), "channels": ["email"], "template_code": "hello", "variables": {"name": "B"}},
    )
    NotificationPreference.objects.create(user=bob, channel="email", enabled=False)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE notifications_notification SET variables = 'no ciphertext' WHERE id ="
            " (SELECT notification_id FROM notifications_emaillog WHERE email = 'person3@example.com')"
        )
    deliver("email", ids, bulk=True)
    found = dict(EmailLog.objects.values_list("email", "status"))
    assert found == {
        "person0@example.com": "sent",
        "person1@example.com": "failed",
        "person2@example.com": "queued",
        "person3@example.com": "queued",
        "bob@example.com": "skipped",
    }
    assert dict(EmailLog.objects.exclude(error_code="").values_list("email", "error_code")) == {
        "person1@example.com": "mailbox_unknown",
        "person2@example.com": "temporarily_refused",
        "person3@example.com": "undecryptable",
    }


def test_a_slow_relay_gets_many_sender_threads(waiting, smtp, slots):
    slots(8)
    smtp.scripts["dot"] = (Stall(0.2), "250 ok")
    deliver("email", waiting(24), bulk=True)
    settled("sent")
    assert 4 <= smtp.connections <= 8
    assert set(taken(smtp, 24).values()) == {1}


def test_a_quick_relay_is_met_by_one(waiting, smtp, slots):
    slots(8)
    deliver("email", waiting(20), bulk=True)
    before = smtp.connections
    for _ in range(3):
        deliver("email", waiting(5), bulk=True)
    assert smtp.connections == before


def test_behind_a_stalled_send_nothing_waits_for_long(waiting, smtp, slots):
    """One slot, and the relay thinks about the first message: the others go to another worker within seconds."""
    slots(1)
    released = threading.Event()
    smtp.recipients = {"person0@example.com": {"dot": (Hold(released), "250 ok")}}
    ids = waiting(5)
    thread = threading.Thread(target=sender.deliver, args=("email", ids))
    thread.start()
    try:
        wait_until(lambda: EmailLog.objects.filter(status="queued").count() == 4)
        assert EmailLog.objects.get(status="sending").email == "person0@example.com"
    finally:
        released.set()
        thread.join(10)
    assert EmailLog.objects.get(email="person0@example.com").status == "sent"
    deliver("email", ids)
    settled("sent")
    assert set(taken(smtp, 5).values()) == {1}


def test_what_is_known_is_written_while_another_send_stalls(waiting, smtp, slots):
    # Two for one organization, and one that is kept for another.
    slots(3)
    released = threading.Event()
    smtp.recipients = {"person1@example.com": {"dot": (Hold(released), "250 ok")}}
    thread = threading.Thread(target=sender.deliver, args=("email", waiting(4)))
    thread.start()
    try:
        wait_until(lambda: EmailLog.objects.filter(status="sent").count() == 3)
        assert EmailLog.objects.get(status="sending").email == "person1@example.com"
    finally:
        released.set()
        thread.join(10)
    settled("sent")


def test_a_wake_up_takes_along_what_has_waited(
    api, user, version, unpublished, transactional_db, smtp, monkeypatch
):
    monkeypatch.setattr(claims, "WAITED_SECONDS", 60)
    for _ in range(4):
        post(api, user, channels=["email"])
    old, lately, bulk, named = EmailLog.objects.order_by("id")
    EmailLog.objects.filter(pk=old.pk).update(due_at=from_now(-120))
    EmailLog.objects.filter(pk=lately.pk).update(due_at=from_now(-0.1))
    EmailLog.objects.filter(pk=bulk.pk).update(due_at=from_now(-120), priority=4)
    deliver("email", [str(named.pk)])
    sent = set(EmailLog.objects.filter(status="sent").values_list("pk", flat=True))
    assert sent == {old.pk, named.pk}


def test_organizations_take_turns_in_the_bulk_lane(waiting, smtp, monkeypatch):
    monkeypatch.setattr(claims, "BATCH_SIZE", 20)
    monkeypatch.setattr(runtime, "bulk_round_robin", BulkRoundRobin())
    waiting(100)
    second = OrganizationFactory(slug="second")
    template_with(second)
    theirs = waiting(20, client_for(second))
    first = EmailLog.objects.exclude(pk__in=theirs).values_list("pk", flat=True)
    for start in (0, 20):
        deliver("email", [str(pk) for pk in first[start : start + 20]], bulk=True)
    assert EmailLog.objects.filter(pk__in=theirs, status="sent").count() == 20
    assert EmailLog.objects.filter(status="sent").count() == 40


def test_a_row_that_the_publisher_has_locked_is_waited_for(waiting, smtp):
    """The worker that took the message of these rows had a full batch without them: no other message names them."""
    ids = waiting(20)
    locked, noted = threading.Event(), threading.Event()

    def note():
        with transaction.atomic():
            EmailLog.objects.filter(pk__in=ids[:10]).update(published_at=from_now(0))
            locked.set()
            noted.wait(10)
        connection.close()

    noting = threading.Thread(target=note)
    noting.start()
    assert locked.wait(10)
    sending = threading.Thread(target=deliver, args=("email", ids[10:]), kwargs={"bulk": True})
    sending.start()
    sending.join(0.3)
    noted.set()
    sending.join(20)
    noting.join(20)
    assert {row.status for row in deliveries()} == {"sent"}


def test_two_workers_that_are_woken_for_the_same_rows_share_them(waiting, smtp):
    ids = waiting(60)
    threads = [threading.Thread(target=sender.deliver, args=("email", order)) for order in (ids, ids[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    deliver("email", ids)
    settled("sent")
    assert set(taken(smtp, 60).values()) == {1}


def test_a_batch_makes_a_callback_for_each_delivery(api, organization, waiting, smtp):
    WebhookEndpoint.objects.create(organization=organization, url="https://example.com/hook")
    deliver("email", waiting(5), bulk=True)
    assert organization.pk
    from apps.notifications.models import Callback

    assert sorted(Callback.objects.values_list("type", flat=True)) == ["delivery.sent"] * 5
    assert not CallbackAttempt.objects.exists()


def test_pushes_to_removed_devices_are_skipped_and_the_others_go(
    api, user, version, unpublished, transactional_db, fcm
):
    gone = DeviceFactory(user=user, token="soon-removed")
    post_batch(
        api,
        {"user_id": str(user.pk), "channels": ["push"], "template_code": "hello", "variables": {"name": "A"}},
    )
    gone.delete()
    deliver("push", [str(pk) for pk in PushLog.objects.values_list("pk", flat=True)], bulk=True)
    assert sorted(PushLog.objects.values_list("status", "reason")) == [
        ("sent", ""),
        ("skipped", "no_contact"),
    ]


def test_what_was_sent_is_not_kept_until_it_is_written(waiting, smtp, slots, monkeypatch):
    """A hundred messages of half a megabyte, as long as the database is away."""
    slots(1)
    written = []
    monkeypatch.setattr(sender, "record_attempts", written.extend)
    deliver("email", waiting(3), bulk=True)
    assert [one.outcome.result for one in written] == ["sent"] * 3
    assert [(one.message, one.secrets) for one in written] == [(None, ())] * 3
