"""The broker killed while things happen: each webhook event is on the exchange once it is back."""

import pytest
from kombu import Connection, Queue

from apps.notifications.models import Callback
from apps.notifications.queue import broker
from tests.conftest import wait_until
from tests.outages.conftest import post_many, to_address
from tests.support.webhook_calls import tomorrow

COUNT = 40
pytestmark = pytest.mark.chaos


def bound(rabbit):
    """A consumer's durable queue, as operations.md describes it."""
    with Connection(rabbit.url) as connection:
        channel = connection.channel()
        broker.declare(channel)
        Queue(
            "shop", exchange=broker.EVENTS, routing_key="acme.email.*", durable=True,
            queue_arguments={"x-queue-type": "quorum"},
        )(channel).declare()  # fmt: skip


def arrived(rabbit):
    found = []
    with Connection(rabbit.url) as connection:
        queue = Queue("shop")(connection.channel())
        while message := queue.get(no_ack=True):
            found.append(message.properties["message_id"])
    return found


def test_what_happens_while_the_broker_is_dead_is_published_after_it(make_system, quiet_broker, key):
    bound(quiet_broker)
    system = make_system(EVENTS_EXCHANGE="true")
    system.start_api()
    system.start_tick()
    system.start_worker("callbacks", "callbacks")
    system.wait_ready("callbacks")
    with system.client(key) as client:
        answers = post_many(client, COUNT, lambda n: {**to_address(n), "scheduled_at": tomorrow()})
        ids = [answer.json()["data"]["id"] for answer in answers]
        # One before, so that every connection stands when the broker goes.
        assert client.post(f"notifications/{ids[0]}/cancel/").status_code == 200
        wait_until(lambda: Callback.objects.filter(status="delivered").exists(), seconds=20)

        quiet_broker.kill()
        for pk in ids[1:]:
            assert client.post(f"notifications/{pk}/cancel/").status_code == 200
        assert Callback.objects.filter(status="delivered").count() == 1
    quiet_broker.start()

    wait_until(lambda: Callback.objects.filter(status="delivered").count() == COUNT, seconds=60)
    published = arrived(quiet_broker)
    assert set(published) == {str(pk) for pk in Callback.objects.values_list("pk", flat=True)}
    assert len(set(published)) == COUNT
