"""The topology on the broker, the publisher, and messages that no worker can read."""

import json
import os
import pickle
import subprocess
import uuid

import pytest
from amqp.exceptions import PreconditionFailed
from celery import current_app
from django.db.models.functions import Now
from kombu import Connection, Producer, Queue

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import DeadLetter
from apps.notifications.queue import broker as rabbitmq
from apps.notifications.queue.broker import Broker, BrokerUnavailable
from apps.notifications.queue.dead_letter_consumer import DeadLetterConsumer
from notifier.channels.registry import CODES
from tests.conftest import deliveries, post, settled, wait_until
from tests.notifications.delivery.attempts import claim


@pytest.fixture
def channel():
    options = {"confirm_publish": True}
    with (
        current_app.connection_for_write(transport_options=options) as connection,
        connection.channel() as opened,
    ):
        rabbitmq.declare(opened)
        opened.queue_purge(rabbitmq.FAILED)
        yield opened


@pytest.fixture
def broker():
    broker = Broker()
    yield broker
    broker.close()


@pytest.fixture
def dead_letter_consumer():
    dead_letter_consumer = DeadLetterConsumer()
    yield dead_letter_consumer
    dead_letter_consumer.close()


def take_failed(channel, count=1):
    taken = []

    def enough():
        while (message := channel.basic_get(rabbitmq.FAILED, no_ack=True)) is not None:
            taken.append(message)
        return len(taken) >= count

    wait_until(enough)
    return taken


def test_every_queue_is_a_quorum_queue_that_loses_nothing(channel):
    for queue in (*rabbitmq.WORK_QUEUES, rabbitmq.FAILED_QUEUE):
        # Declaring it with other arguments is refused, so these are the ones in force.
        arguments = queue.queue_arguments
        assert arguments["x-queue-type"] == "quorum"
        assert not {"x-message-ttl", "x-max-length", "x-expires"} & set(arguments)
        other = Queue(queue.name, queue_arguments={"x-queue-type": "classic"}, durable=True)
        refused = pytest.raises(PreconditionFailed)
        with refused, Connection(os.environ["BROKER_URL"]) as connection:
            other(connection.channel()).queue_declare()
    for queue in rabbitmq.WORK_QUEUES:
        assert queue.queue_arguments["x-dead-letter-exchange"] == "notifications.dlx"
        assert queue.queue_arguments["x-dead-letter-routing-key"] == "failed"
        assert queue.queue_arguments["x-dead-letter-strategy"] == "at-least-once"


def test_every_lane_has_its_queue_and_the_other_way_round():
    assert {queue.name for queue in rabbitmq.WORK_QUEUES} == set(rabbitmq.LANES)
    lanes = {rabbitmq.lane_of(channel, priority) for channel in CODES for priority in (1, 5)}
    assert lanes | {"callbacks"} == set(rabbitmq.LANES)


# On a machine that is busy with other tests its consumers may hear too late, and then these have no worker any more.
@pytest.mark.chaos
def test_a_deleted_queue_is_declared_again_by_the_next_publish(broker, channel):
    broker.wake("push.bulk", "push", [str(uuid.uuid4())])
    channel.queue_delete("push.bulk")
    broker.wake("push.bulk", "push", [str(uuid.uuid4())])
    assert broker.ready_messages("push.bulk") >= 0


@pytest.mark.chaos
def test_what_comes_after_a_queue_was_deleted_is_consumed(api, user, version, smtp, worker, channel):
    # The publisher is connected already, and a queue is declared only on connecting.
    post(api, user, channels=["email"])
    settled("sent")
    channel.queue_delete("email")
    post(api, user, channels=["email"])
    settled("sent")
    assert len(smtp.wait_for(2)) == 2


def test_nothing_is_sent_for_a_while_to_a_broker_that_refuses(broker, monkeypatch):
    monkeypatch.setattr(
        current_app, "connection_for_write", lambda **options: Connection("amqp://127.0.0.1:1//", **options)
    )
    with pytest.raises(BrokerUnavailable):
        broker.wake("email", "email", [])
    with pytest.raises(BrokerUnavailable, match="a moment ago"):
        broker.wake("email", "email", [])


def test_ids_alone_are_published_and_the_confirmation_is_recorded(api, user, version, transactional_db):
    with current_app.connection_for_read() as connection, connection.channel() as opened:
        # A second queue on the same key sees what the workers see.
        listener = Queue("", exchange=rabbitmq.DIRECT, routing_key="email", exclusive=True)(opened)
        listener.declare()
        post(api, user, channels=["email"])
        message = wait_until(lambda: opened.basic_get(listener.name, no_ack=True))
    row = EmailLog.objects.get()
    assert message.content_type == "application/json"
    assert json.loads(message.body)[1] == {"v": 1, "channel": "email", "ids": [str(row.pk)]}
    everything = f"{message.body} {message.headers}"
    assert "ada@" not in everything
    assert "Ada" not in everything
    # Or a worker was quicker than the record, which then must not be written any more.
    wait_until(lambda: (row := EmailLog.objects.get()).published_at is not None or row.fence > 0)


def test_a_burst_becomes_few_messages():
    wakes = [rabbitmq.Wake("email", 5, str(n), 0) for n in range(25)] + [rabbitmq.Wake("email", 4, "bulk", 0)]
    sizes = [len(message) for message in rabbitmq._messages([wakes[:7], wakes[7:]])]
    assert sizes == [10, 10, 5, 1]


def test_a_failure_is_copied_to_failed_and_the_consumer_drops_known_ones(
    api, user, version, smtp, worker, channel, dead_letter_consumer
):
    smtp.scripts["rcpt"] = "550 5.1.1 no such user"
    post(api, user, channels=["email"])
    (row,) = settled("failed")
    (copy,) = take_failed(channel)
    body = json.loads(copy.body)
    assert (body["delivery_id"], body["code"]) == (str(row.pk), "mailbox_unknown")
    assert "ada@" not in copy.body

    Producer(channel).publish(body, exchange="notifications.dlx", routing_key="failed", serializer="json")
    wait_until(dead_letter_consumer.consume_now)
    assert DeadLetter.objects.count() == 1


@pytest.mark.parametrize("queue", rabbitmq.LANES)
def test_poison_is_stored_and_the_queue_flows_on(
    queue, api, user, version, smtp, worker, channel, dead_letter_consumer, caplog
):
    secret = b"poison-body-with-a-secret"
    task = {"lang": "py", "task": "notifications.deliver", "id": "x", "argsrepr": "", "kwargsrepr": ""}
    poisons = [
        (secret + b"\x00\xff\xfe", {}, "application/octet-stream"),
        (secret + b"{{{", {}, "application/json"),
        (pickle.dumps([secret]), {}, "application/x-python-serialize"),
        (secret + b"[[", task, "application/json"),
        (
            json.dumps([[], {"secret": secret.decode()}, {}]).encode(),
            {**task, "task": "no.such.task"},
            "application/json",
        ),
        (
            json.dumps([[], {"v": 99, "secret": secret.decode()}, {}]).encode(),
            {**task, "id": str(uuid.uuid4())},
            "application/json",
        ),
    ]
    for body, headers, content_type in poisons:
        Producer(channel).publish(
            body,
            exchange="notifications.direct",
            routing_key=queue,
            headers=headers,
            content_type=content_type,
            content_encoding="utf-8" if content_type.endswith("json") else "binary",
        )

    def stored():
        dead_letter_consumer.consume_now()
        return DeadLetter.objects.count() == len(poisons)

    wait_until(stored)
    dead_letters = list(DeadLetter.objects.all())
    assert {dead_letter.queue for dead_letter in dead_letters} == {queue}
    assert sorted(bytes(dead_letter.body) for dead_letter in dead_letters) == sorted(
        body for body, _, _ in poisons
    )
    assert secret.decode() not in caplog.text
    sent_to = "email" if queue == "callbacks" else queue.partition(".")[0]
    post(api, user, channels=[sent_to], priority=1 if queue.endswith("bulk") else 5)
    # Push has no provider here: that it was found missing shows that the lane is read as well.
    wait_until(lambda: all(row.status == "sent" or row.error_code for row in deliveries()))


def test_a_dead_lettered_wake_up_wakes_its_rows_again(
    api, user, version, unpublished, transactional_db, channel, dead_letter_consumer
):
    post(api, user, channels=["email"])
    EmailLog.objects.update(published_at=Now())
    row = EmailLog.objects.get()
    message = [[], {"v": 1, "channel": "email", "ids": [str(row.pk)]}, {}]
    Producer(channel).publish(message, exchange="notifications.dlx", routing_key="failed", serializer="json")
    wait_until(lambda: dead_letter_consumer.consume_now())
    assert EmailLog.objects.get().published_at is None


def test_a_large_foreign_message_is_stored_in_part(channel, dead_letter_consumer, transactional_db):
    Producer(channel).publish(b"x" * 1_000_000, exchange="notifications.dlx", routing_key="failed")
    wait_until(dead_letter_consumer.consume_now)
    dead_letter = DeadLetter.objects.get()
    assert len(bytes(dead_letter.body)) == 4096
    assert "1000000 bytes" in dead_letter.detail


def test_the_worker_command_of_the_readme_consumes(tmp_path):
    """The exact command line, started and stopped by SIGTERM."""
    import signal
    import sys
    from pathlib import Path

    celery = Path(sys.executable).parent / "celery"
    with (tmp_path / "log").open("w") as log:
        part = subprocess.Popen(
            [celery, "-A", "celery_app", "worker", "--pool=threads", "-Q", "push.bulk"],
            stdout=log,
            stderr=log,
        )
        try:
            wait_until(lambda: "ready." in (tmp_path / "log").read_text(), seconds=30)
            part.send_signal(signal.SIGTERM)
            assert part.wait(20) == 0
        finally:
            part.kill()
            part.wait()


def test_a_late_confirmation_does_not_mark_a_row_that_was_put_back(
    api, user, version, unpublished, transactional_db
):
    """The sender refused and requeued the row before the publisher wrote down that it was published."""
    post(api, user, channels=["email"])
    row = EmailLog.objects.get()
    claimed = claim(row, "quick")
    EmailLog.objects.filter(pk=row.pk).update(status="queued", published_at=None)
    rabbitmq._record_published({("email", row.fence): [str(row.pk)]})
    assert EmailLog.objects.get().published_at is None
    rabbitmq._record_published({("email", claimed.fence): [str(row.pk)]})
    assert EmailLog.objects.get().published_at is not None
