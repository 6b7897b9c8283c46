"""A thousand notifications through the deployed product."""

import pytest

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.notifications.models import DeadLetter, Event
from tests.conftest import wait_until
from tests.outages.conftest import copies, counts, post_many
from tests.support.factories import DeviceFactory, UserFactory

COUNT = 1000


@pytest.mark.chaos
def test_each_of_a_thousand_arrives_once_on_both_channels(make_system, acme, key, smtp, fcm):
    people = [UserFactory(organization=acme) for _ in range(COUNT)]
    for number, person in enumerate(people):
        DeviceFactory(user=person, token=f"device-{number:06}-of-the-thousand")
    system = make_system()
    system.start_api()
    system.start_worker("email", "email")
    system.start_worker("push", "push")
    system.start_tick()

    with system.client(key) as client:
        answers = post_many(
            client,
            COUNT,
            lambda n: {
                "user_id": str(people[n].pk),
                "template_code": "hello",
                "variables": {"name": f"P{n}"},
            },
        )

    assert {answer.status_code for answer in answers} == {202}
    wait_until(lambda: counts(EmailLog)["sent"] + counts(PushLog)["sent"] == 2 * COUNT, seconds=120)
    assert counts(EmailLog) == counts(PushLog) == {"sent": COUNT}
    assert len(copies(smtp)) == COUNT
    assert set(copies(smtp).values()) == {1}
    assert len(fcm.messages) == COUNT
    assert len({message["token"] for message in fcm.messages}) == COUNT
    assert not DeadLetter.objects.exists()
    assert Event.objects.count() == 3 * COUNT
