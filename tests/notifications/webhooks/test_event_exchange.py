"""The events of callbacks on the broker's topic exchange: for queues that others bind, and for no other."""

import json

import pytest
from celery import current_app
from kombu import Queue

from apps.notifications.models import Callback, CallbackAttempt
from apps.notifications.queue import broker
from apps.notifications.webhooks import delivery, event_exchange
from tests.conftest import client_for, settled, wait_until
from tests.support.factories import OrganizationFactory, template_with
from tests.support.webhook_calls import ENDPOINT, ended, log, send, tomorrow

pytestmark = pytest.mark.usefixtures("worker", "version", "smtp")


@pytest.fixture
def on(settings):
    settings.EVENTS_EXCHANGE = True
    yield
    event_exchange.close()


@pytest.fixture
def bind():
    with current_app.connection_for_read() as connection:
        channel = connection.channel()
        broker.declare(channel)

        def bind(key):
            queue = Queue(exchange=broker.EVENTS, routing_key=key, exclusive=True, auto_delete=True)(channel)
            queue.declare()
            return queue

        yield bind


def take(queue, count=1):
    """The next messages of a bound queue."""
    found = []
    wait_until(lambda: (message := queue.get(no_ack=True)) and (found.append(message) or len(found) == count))
    return found


def test_an_event_comes_with_its_key_and_the_callbacks_body(on, api, user, bind):
    everything, ours, others = bind("#"), bind("acme.email.*"), bind("acme.push.*")
    made = send(api, user, request_id="order-7")
    (message,) = take(ours)
    row = Callback.objects.get()
    assert message.delivery_info["routing_key"] == "acme.email.sent"
    assert message.properties["message_id"] == str(row.pk)
    assert message.properties["delivery_mode"] == 2
    assert (message.properties["type"], message.content_type) == ("delivery.sent", "application/json")
    event = json.loads(message.body)
    assert event == row.payload
    assert (event["type"], event["data"]["notification_id"]) == ("delivery.sent", made["id"])
    assert take(everything)[0].body == message.body
    assert others.get(no_ack=True) is None
    (row,) = ended()
    assert (row.attempts, row.error_code) == (1, "")


def test_every_status_change_is_published_under_its_organization(on, api, user, bind):
    ours, theirs = bind("acme.#"), bind("other.#")
    other = OrganizationFactory(slug="other")
    template_with(other)
    sent = send(api, user)["deliveries"][0]["id"]
    settled("sent")
    api.post("/api/v1/email/status/", {"delivery_id": sent, "status": "delivered"}, format="json")
    later = send(api, user, scheduled_at=tomorrow())
    api.post(f"/api/v1/notifications/{later['id']}/cancel/")
    send(client_for(other), None, recipient={"email": "grace@example.com"})
    keys = {message.delivery_info["routing_key"] for message in take(ours, 3)}
    assert keys == {"acme.email.sent", "acme.email.delivered", "acme.email.cancelled"}
    assert take(theirs)[0].delivery_info["routing_key"] == "other.email.sent"
    ended(count=4)


def test_without_the_setting_nothing_is_published(api, user, bind):
    queue = bind("#")
    send(api, user)
    settled("sent")
    assert not Callback.objects.exists()
    assert queue.get(no_ack=True) is None


def test_without_a_queue_an_event_is_done_with(on, api, user):
    send(api, user)
    ended()


def test_the_endpoint_is_called_beside_it(on, api, user, bind, hooks, secret):
    queue = bind("#")
    send(api, user)
    ended(count=2)
    posted, event = hooks.calls[0].verified(secret), json.loads(take(queue)[0].body)
    assert posted["data"]["delivery_id"] == event["data"]["delivery_id"]
    assert posted["type"] == event["type"]
    # The log of tries is the endpoint's, and so is the replay.
    assert len(log(api)) == CallbackAttempt.objects.count() == 1
    replay = {"since": Callback.objects.earliest("id").created_at, "status": "all", "dry_run": True}
    assert api.post(f"{ENDPOINT}replay/", replay, format="json").json()["data"]["queued"] == 1


def test_an_exchange_that_was_deleted_is_declared_again(on, api, user, bind):
    send(api, user)
    ended()
    with current_app.connection_for_write() as connection:
        broker.EVENTS(connection.channel()).delete()
    send(api, user)
    ended(count=2)
    assert bind("#").get(no_ack=True) is None


def test_a_broker_that_is_away_is_waited_for_and_ends_nothing(on, api, user, bind, retry, monkeypatch):
    """The end of the connection is all that is cut: the row has to outlive it."""
    queue = bind("#")
    monkeypatch.setattr(event_exchange._broker, "_rest_until", float("inf"))
    send(api, user)
    row = wait_until(lambda: Callback.objects.filter(error_code="broker_unavailable").first())
    assert (row.status, row.attempts, row.finished_at) == ("queued", 0, None)
    for _ in range(3):
        retry()
        wait_until(lambda: not Callback.objects.filter(due_at__lte=delivery.Now()).exists())
    assert Callback.objects.get().attempts == 0
    monkeypatch.undo()
    retry()
    assert take(queue)[0].properties["message_id"] == str(row.pk)
    ended()
