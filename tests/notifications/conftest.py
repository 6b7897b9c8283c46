import pytest
from django.db.models.functions import Now

from apps.notifications.models import Callback, from_now
from tests.notifications.calls import put
from tests.wire.hooks import Receiver


@pytest.fixture
def loopback(settings):
    """Callbacks may go to this machine."""
    settings.CALLBACK_ALLOWED_HOSTS = ["127.0.0.1", "localhost"]


@pytest.fixture
def hooks():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def secret(api, hooks, loopback):
    """The organization's endpoint is the receiver; its secret."""
    return put(api, hooks.url)["secret"]


@pytest.fixture
def retry(_republisher):
    """Makes every waiting callback due, and does the tick's work once."""

    def now():
        Callback.objects.filter(status="queued").update(due_at=Now(), created_at=from_now(-60))
        _republisher.sweep()

    return now
