"""An endpoint that takes nothing for five days is disabled, and the API and the admin show it."""

import logging
import threading

import pytest
from django.test import Client

from apps.notifications.models import Callback, WebhookEndpoint, from_now
from tests.conftest import wait_until
from tests.support.factories import UserFactory
from tests.support.webhook_calls import ENDPOINT, ended, put, send, tomorrow, waiting
from tests.support.webhook_receiver import Receiver, Say

REASON = "The receiver took nothing for 5 days."
DAY = 24 * 3600
pytestmark = pytest.mark.usefixtures("worker", "version", "smtp", "loopback")


@pytest.fixture(autouse=True)
def one_try(settings):
    settings.CALLBACK_SCHEDULE = []


@pytest.fixture
def broken(hooks, secret):
    """The receiver takes nothing."""
    hooks.always = Say(500)
    return hooks


def announce(api):
    assert api.post(f"{ENDPOINT}test/").status_code == 202


def failing_since(seconds):
    WebhookEndpoint.objects.update(failing_since=from_now(seconds))


def shown(api):
    return api.get(ENDPOINT).json()["data"]


def test_five_days_of_failing_disable_it_and_say_so(api, user, broken, caplog):
    assert shown(api)["failing_since"] is None
    announce(api)
    ended("failed")
    assert shown(api)["enabled"]
    assert shown(api)["failing_since"] is not None
    failing_since(-5 * DAY - 60)
    with caplog.at_level(logging.ERROR):
        announce(api)
        ended("failed", count=2)
    assert shown(api)["enabled"] is False
    assert shown(api)["disabled_reason"] == REASON
    assert "callback_endpoint_disabled" in caplog.text
    assert REASON in caplog.text

    operator = Client()
    operator.force_login(UserFactory(is_staff=True, is_superuser=True))
    assert REASON in operator.get("/admin/notifications/webhookendpoint/").content.decode()

    later = send(api, user, scheduled_at=tomorrow())
    assert api.post(f"/api/v1/notifications/{later['id']}/cancel/").status_code == 200
    assert Callback.objects.count() == 2


def test_enabled_again_it_starts_afresh(api, broken):
    failing_since(-5 * DAY - 60)
    announce(api)
    ended("failed")
    assert shown(api)["enabled"] is False
    put(api, broken.url)
    assert shown(api)["failing_since"] is None
    announce(api)
    ended("failed", count=2)
    assert shown(api)["enabled"]
    assert shown(api)["disabled_reason"] == ""


def test_not_quite_five_days_do_not(api, broken):
    failing_since(-5 * DAY + 600)
    announce(api)
    ended("failed")
    assert shown(api)["enabled"]


def test_a_success_ends_the_count(api, broken):
    failing_since(-5 * DAY - 60)
    broken.always = Say()
    announce(api)
    ended()
    assert shown(api)["failing_since"] is None
    broken.always = Say(500)
    announce(api)
    ended("failed")
    assert shown(api)["enabled"]


def test_a_failure_that_is_tried_again_does_not_disable(api, broken, settings):
    settings.CALLBACK_SCHEDULE = [60]
    failing_since(-8 * DAY)
    announce(api)
    waiting(1)
    assert shown(api)["enabled"]


def test_a_url_of_its_own_says_nothing_of_the_endpoint(api, user, hooks, settings, retry):
    settings.CALLBACK_SCHEDULE = [60]
    hooks.always = Say(500)
    later = send(api, user, scheduled_at=tomorrow(), callback_url=hooks.url)
    assert api.post(f"/api/v1/notifications/{later['id']}/cancel/").status_code == 200
    waiting(1)
    put(api, hooks.url)
    failing_since(-8 * DAY)
    settings.CALLBACK_SCHEDULE = []
    retry()
    ended("failed")
    assert shown(api)["enabled"]


def test_a_try_at_the_former_url_says_nothing_of_the_new_one(api, broken):
    held = threading.Event()
    broken.always = Say(410, hold=held)
    announce(api)
    wait_until(lambda: broken.calls)
    with Receiver() as new:
        put(api, new.url)
        held.set()
        ended("failed")
    assert shown(api)["enabled"]
    assert shown(api)["failing_since"] is None
