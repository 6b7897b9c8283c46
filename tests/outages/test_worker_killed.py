"""Workers killed in mid-send: nothing is lost, and what may have gone out twice is named."""

import random
import signal
import time
from collections import Counter

import pytest

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import Event
from apps.templates.models import Template
from tests.conftest import wait_until
from tests.outages.conftest import copies, counts, post_many, to_address
from tests.support.smtp_server import Stall

COUNT = 500
KILLS = 10
THREADS = 4
pytestmark = pytest.mark.chaos


def what_waits(system):
    """The rows that have not ended, and what each thread of the worker does."""
    system.signal("email", signal.SIGABRT)
    system.parts["email"].wait(10)
    rows = EmailLog.objects.exclude(status__in=["sent", "unknown"])
    rows = list(
        rows.values("id", "status", "claimed_by", "fence", "attempts", "resends", "due_at", "lease_until")
    )
    return f"{counts()}\n{rows}\n{system.log('email')[-20_000:]}"


@pytest.mark.parametrize("on_unknown", ["hold", "resend"])
def test_ten_killed_workers_lose_nothing(on_unknown, make_system, smtp, key):
    Template.objects.update(on_unknown=on_unknown)
    # Slow enough that every kill interrupts sends.
    smtp.scripts["dot"] = (Stall(0.05), "250 2.0.0 taken")
    system = make_system(PYTHONFAULTHANDLER="1")
    system.start_api()
    system.start_tick()
    with system.client(key) as client:
        assert {answer.status_code for answer in post_many(client, COUNT, to_address)} == {202}

    system.start_worker("email", "email", threads=THREADS)
    for _ in range(KILLS):
        before = counts()["sent"]
        wait_until(lambda before=before: counts()["sent"] > before + 5, seconds=60)
        time.sleep(random.uniform(0, 0.1))
        system.kill("email")
        system.start_worker("email", "email", threads=THREADS)

    # There is one resend: a message that two kills interrupt stays unknown.
    stays = EmailLog.objects.filter(status="unknown", attempts__gte=1 if on_unknown == "hold" else 2)
    wait_until(
        lambda: counts()["sent"] + stays.count() == COUNT, seconds=180, seen=lambda: what_waits(system)
    )

    ambiguous = Event.objects.filter(kind="unknown").values_list("delivery_id", flat=True)
    assert 0 < len(ambiguous) <= KILLS * THREADS
    taken = copies(smtp)
    named = {f"<{pk}@sender.test>" for pk in ambiguous}
    assert {message for message, count in taken.items() if count > 1} <= named
    assert max(taken.values()) <= 2
    sent = {
        f"<{pk}@sender.test>" for pk in EmailLog.objects.filter(status="sent").values_list("pk", flat=True)
    }
    assert sent <= set(taken)
    if on_unknown == "hold":
        assert Counter(taken.values()) == {1: len(taken)}
