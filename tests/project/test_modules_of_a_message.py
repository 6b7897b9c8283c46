"""How many modules of `apps/notifications` a reader opens who follows one message from the request to `sent`."""

import sys
import threading
from pathlib import Path

import pytest
from celery import current_app

from apps.notifications.delivery.tasks import deliver_rows
from tests.conftest import deliveries, post, wait_until

ROOT = Path(__file__).parents[2] / "apps/notifications"


@pytest.fixture
def entered():
    """The modules whose functions run, in the order of their first call; also in threads that start meanwhile."""
    found: dict[str, None] = {}

    def note(frame, kind, _argument):
        path = frame.f_code.co_filename
        # A module's own code runs once, when something imports it.
        if kind == "call" and path.startswith(str(ROOT)) and frame.f_code.co_name != "<module>":
            found.setdefault(str(Path(path).relative_to(ROOT)))

    threading.setprofile(note)
    sys.setprofile(note)
    yield found
    sys.setprofile(None)
    threading.setprofile(None)


@pytest.mark.parametrize(("channel", "most"), [("email", 25), ("push", 24)])
def test_one_message_is_followed_through_few_modules(
    channel, most, api, user, version, smtp, fcm, transactional_db, entered, monkeypatch
):
    woken = []
    # What a worker gets is run in this thread: those of a worker that other tests have started are not looked at.
    monkeypatch.setattr(current_app, "send_task", lambda name, *, kwargs, **_: woken.append(kwargs))
    for _ in range(2):
        # The second one only: the first also reads settings, sources and credentials, for good.
        entered.clear()
        answer = post(api, user, channels=[channel], variables={"name": "Ada"})
        assert answer.status_code == 202, answer.json()
        wait_until(lambda: woken)
        deliver_rows.apply(kwargs=woken.pop())
    assert [row.status for row in deliveries()] == ["sent", "sent"]
    assert {"acceptance/submission.py", "queue/broker.py", "transitions/outcomes.py"} <= set(entered)
    assert len(entered) <= most, "\n".join(entered)
