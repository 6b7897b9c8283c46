"""Two relays for one channel. Both refuse at first, one of them for as long as the messages take."""

import os
import time
from collections import defaultdict

import pytest

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import DeadLetter, Event
from tests.conftest import wait_until
from tests.outages.conftest import copies, counts, post_many, to_address
from tests.support.smtp_server import ScriptedSmtpServer

COUNT = 2000
OUTAGE = float(os.environ.get("OUTAGE_SECONDS", "15"))
"""Seconds for which the first relay refuses; `make soak` has a minute."""
BOTH = 4.0
"""Seconds for which the second one does, too: until then every circuit is open, and messages wait."""


@pytest.mark.chaos
def test_none_fails_and_no_attempt_is_used(make_system, acme, key):
    with ScriptedSmtpServer() as first, ScriptedSmtpServer() as second:
        for relay in (first, second):
            relay.scripts["greeting"] = "421 4.3.2 closing down"
        system = make_system(
            email_url=" ".join(
                f"{relay.url}?tls=none&name={name}&breaker=streak:5,pause:3"
                for name, relay in (("first", first), ("second", second))
            )
        )
        system.start_api()
        system.start_tick()
        system.start_worker("email", "email")
        system.wait_ready("email")
        began = time.monotonic()
        with system.client(key) as client:
            answers = post_many(client, 200, to_address)
            time.sleep(max(0.0, began + BOTH - time.monotonic()))
            second.scripts["greeting"] = "220 ready"
            answers += post_many(client, COUNT - 200, lambda n: to_address(n + 200))
        assert {answer.status_code for answer in answers} == {202}
        time.sleep(max(0.0, began + OUTAGE - time.monotonic()))
        first.scripts["greeting"] = "220 ready"
        wait_until(lambda: counts()["sent"] == COUNT, seconds=120, seen=counts)

        assert not DeadLetter.objects.exists()
        assert set(EmailLog.objects.values_list("attempts", flat=True)) == {1}
        taken = copies(first) + copies(second)
        assert (len(taken), set(taken.values())) == (COUNT, {1})
        timelines = defaultdict(list)
        for event in Event.objects.order_by("at", "id"):
            timelines[event.notification_id].append(event)
        between = [[event.kind for event in lines][1:-1] for lines in timelines.values()]
        assert {(lines[0].kind, lines[-1].kind) for lines in timelines.values()} == {("accepted", "sent")}
        assert {kind for kinds in between for kind in kinds} <= {"deferred", "passed_on"}
        assert sum("deferred" in kinds for kinds in between) >= 100, "those that came while both were away"
        deferred = Event.objects.filter(kind="deferred").values_list("data__code", flat=True)
        assert set(deferred) == {"service_closing"}
        providers = Event.objects.filter(kind="sent").values_list("data__provider", flat=True)
        assert set(providers) <= {"first", "second"}
        assert "second" in set(providers)
