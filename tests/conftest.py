"""Fixtures and helpers of all tests: accounts, scripted services, a worker in a thread, and waiting for rows."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import pytest
from celery import current_app
from django.core.cache import cache
from django.db.models.functions import Now
from django_ratelimit import core as ratelimit
from rest_framework.test import APIClient

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.delivery import sender
from apps.notifications.delivery.runtime import runtime
from apps.notifications.models import Delivery, Event, Notification, ProviderState, from_now
from apps.notifications.queue import broker
from apps.notifications.queue.broker import publisher
from apps.notifications.routing import accounts, circuit_breaker, rate_limit
from apps.notifications.scheduler.republisher import Republisher
from apps.notifications.webhooks.leases import keeper
from apps.users.models import Organization, User
from notifier.http import health
from notifier.lib import threads
from notifier.lib.redis import sliding_window
from notifier.local.fcm import FcmStandIn
from tests.support import described
from tests.support.factories import DeviceFactory, OrganizationFactory, UserFactory, key_for, template_with
from tests.support.smtp_server import ScriptedSmtpServer

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile(
    "notifier", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("notifier")

NEVER = 10.0
"""Seconds after which something that should happen at once has not happened."""


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    from django.conf import settings

    # Two runs at once on one server don't meet.
    if settings.ON_POSTGRES:
        settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = f"notifier_test_{os.getpid()}"


@pytest.fixture(scope="session", autouse=True)
def _described() -> Iterator[None]:
    """Whatever a test asks the API for, the answer is one that the OpenAPI document describes."""
    with pytest.MonkeyPatch.context() as patch:
        described.watch(patch)
        yield


@pytest.fixture(autouse=True)
def _one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds on sign-ins count by the minute; none begins in mid-test."""
    now = time.time()
    monkeypatch.setattr(ratelimit, "time", SimpleNamespace(time=lambda: now))


@pytest.fixture(autouse=True)
def _clean_slate(settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.VAR_DIR = tmp_path
    settings.JOURNAL_DIR = tmp_path / "journal"
    cache.clear()
    sliding_window.shared = sliding_window.SharedSlidingWindows()
    accounts.close_all()
    for loop in threads._loops.values():
        # What a background loop failed at in an earlier test is not this one's.
        loop._error = ""
    health._probed_at = float("-inf")
    yield
    accounts.close_all()


@pytest.fixture(autouse=True)
def _worker_idle_at_the_end(request: pytest.FixtureRequest) -> Iterator[None]:
    """Set up after the database and torn down before it: emptying its tables meets no thread of ours on them."""
    if "transactional_db" in request.fixturenames:
        request.getfixturevalue("transactional_db")
    yield
    publisher.stop(10)
    if "transactional_db" in request.fixturenames and _lanes_watched.is_set():
        # Twice in a row: a message may be between the broker and the worker, in neither's count.
        wait_until(lambda: _worker_is_idle() and not time.sleep(0.005) and _worker_is_idle())


@pytest.fixture
def unpublished(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wake-up is published on acceptance, as if the API process had died right after the commit."""
    monkeypatch.setattr(publisher, "wake", lambda rows: None)


@pytest.fixture
def organization(db: None) -> Organization:
    return OrganizationFactory(slug="acme", name="Acme")


@pytest.fixture
def user(organization: Organization) -> User:
    person = UserFactory(organization=organization, email="ada@example.com", name="Ada")
    DeviceFactory(user=person, token="ada-phone-token-0001")
    return person


@pytest.fixture
def version(organization: Organization) -> Any:
    return template_with(organization)


def client_for(organization: Organization, **fields: Any) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Api-Key {key_for(organization, **fields)}")
    return client


@pytest.fixture
def api(organization: Organization) -> APIClient:
    """A client with a key of every scope."""
    return client_for(organization)


@pytest.fixture
def smtp(settings: Any) -> Iterator[ScriptedSmtpServer]:
    """The relay that the email provider talks to; set its scripts before or after."""
    with ScriptedSmtpServer() as server:
        settings.EMAIL_PROVIDER_URL = f"{server.url}?tls=none"
        accounts.close_all()
        circuit_breaker.forget_counts("smtp")
        yield server


@pytest.fixture(scope="session")
def _stand_in() -> Iterator[FcmStandIn]:
    with FcmStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def fcm(_stand_in: FcmStandIn, settings: Any, tmp_path: Path) -> FcmStandIn:
    """The FCM that the push provider talks to."""
    account = _stand_in.write_service_account(tmp_path / "account.json")
    _stand_in.forget()
    settings.PUSH_PROVIDER_URL = (
        f"fcm://{_stand_in.project_id}/?credentials={account}&base_url={_stand_in.base_url}"
    )
    accounts.close_all()
    circuit_breaker.forget_counts("fcm")
    return _stand_in


@pytest.fixture(scope="session")
def _worker_thread() -> Iterator[None]:
    from celery.worker import state

    with current_app.connection_for_write() as connection:
        channel = connection.channel()
        broker.declare(channel)
        for queue in (*broker.LANES, broker.FAILED):
            channel.queue_purge(queue)
    ready = threading.Event()
    # Its tests run it themselves; between tests there is no database for it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime._recovery, "start", lambda: None)
        worker = _controller(ready)
    thread = threading.Thread(target=worker.start, name="worker", daemon=True)
    thread.start()
    assert ready.wait(20)
    _lanes_watched.set()
    yield
    _lanes_watched.clear()
    state.should_stop = 0
    thread.join(10)
    assert not thread.is_alive()
    state.should_stop = None
    runtime.stopping.clear()


def _controller(ready: threading.Event) -> Any:
    from celery.worker import WorkController

    return WorkController(
        app=current_app,
        hostname="tests",
        pool_cls="threads",
        concurrency=4,
        queues=list(broker.LANES),
        without_mingle=True,
        without_gossip=True,
        ready_callback=lambda _: ready.set(),
    )


_lanes_watched = threading.Event()
"""From the first test with a worker on it works for every other test, too, whether that asked for one or not."""


@pytest.fixture
def worker(transactional_db: None, _worker_thread: None) -> None:
    """A worker of this process on the real broker; the test ends when it is idle."""


def _worker_is_idle() -> bool:
    from celery.worker import state

    waiting = sum(messages for messages, _ in _lanes().values())
    return not waiting and not state.reserved_requests and not keeper._held and runtime.slots.idle


def wait_until(
    done: Callable[[], Any], *, seconds: float = NEVER, seen: Callable[[], Any] = lambda: ""
) -> Any:
    """What `done` returns once it is true; fails after `seconds`, with what is `seen` then."""
    ends = time.monotonic() + seconds
    while not (value := done()):
        assert time.monotonic() < ends, f"It did not happen in time. {seen()}"
        time.sleep(0.01)
    return value


def deliver(channel: str, ids: list[str], *, bulk: bool = False) -> None:
    """Send these rows in this thread; on return the sender threads that helped have ended, too."""
    sender.deliver(channel, ids, bulk=bulk)
    runtime.slots.join()


def deliveries() -> list[Delivery]:
    return [row for model in DELIVERIES.values() for row in model.objects.order_by("id")]


def settled(*statuses: str, seconds: float = NEVER) -> list[Delivery]:
    """Every delivery, once each has one of `statuses`."""
    return wait_until(
        lambda: (rows := deliveries()) and all(row.status in statuses for row in rows) and rows,
        seconds=seconds,
        seen=lambda: (
            Counter(
                (row.channel, row.status, row.error_code, row.published_at is not None, row.fence)
                for row in deliveries()
            ),
            _lanes(),
        ),
    )


def _lanes() -> dict[str, tuple[int, int]]:
    """(messages that wait, consumers) of each lane."""
    with current_app.connection_for_read() as connection, connection.channel() as channel:
        answers = [channel.queue_declare(queue=lane, passive=True) for lane in broker.LANES]
    return {one.queue: (one.message_count, one.consumer_count) for one in answers}


def timeline(notification: Notification | str) -> list[tuple[str, str]]:
    """(kind, code) of each event, in order."""
    return [
        (event.kind, event.data.get("code", ""))
        for event in Event.objects.filter(notification=notification).order_by("id")
    ]


def post(client: APIClient, user: User | None = None, *, headers: Any = None, **body: Any) -> Any:
    body.setdefault("template_code", "hello")
    body.setdefault("variables", {"name": "Ada"})
    if user is not None:
        body.setdefault("user_id", str(user.pk))
    return client.post("/api/v1/notifications/", body, format="json", headers=headers or {})


@pytest.fixture(scope="session")
def _republisher() -> Iterator[Republisher]:
    _republisher = Republisher()
    yield _republisher
    _republisher.broker.close()


@pytest.fixture
def time_passes(_republisher: Republisher) -> Callable[[], None]:
    """Makes due what waits (queued rows, resting providers), and runs the republisher once."""

    def pass_time() -> None:
        ProviderState.objects.all().delete()
        for name in ("smtp", "fcm"):
            rate_limit.forget(name)
        for model in DELIVERIES.values():
            model.objects.filter(status="queued").update(due_at=Now(), created_at=from_now(-60))

        def published() -> bool:
            _republisher.republish()
            return not any(
                model.objects.due().filter(published_at=None).exists() for model in DELIVERIES.values()
            )

        # A loaded broker may have been too slow for one pass; the scheduler would come again, too.
        wait_until(published)

    return pass_time
