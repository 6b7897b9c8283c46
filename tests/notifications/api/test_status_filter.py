"""The list by status returns the notifications that show the status, by either query plan."""

import itertools

import pytest

from apps.notifications.api import queries
from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.notifications.models import from_now, summary
from apps.notifications.models.statuses import SCHEDULED, Status
from tests.conftest import post

KINDS = (None, SCHEDULED, *Status.values)


@pytest.mark.parametrize("few", [0, 10_000])
def test_a_status_finds_what_shows_it(api, user, version, unpublished, monkeypatch, few):
    monkeypatch.setattr(queries, "FEW_ROWS", few)
    shows: dict[str, set[str]] = {status: set() for status in queries.SHOWN}
    for email, push in itertools.product(KINDS, KINDS):
        sent = post(api, user, channels=["email", "push"]).json()["data"]
        for model, status in ((EmailLog, email), (PushLog, push)):
            rows = model.objects.filter(notification=sent["id"])
            if status is None:
                rows.delete()
            elif status == SCHEDULED:
                rows.update(status=Status.QUEUED, due_at=from_now(3600))
            else:
                rows.update(status=status, due_at=from_now(-60))
        shows[summary(one for one in (email, push) if one)].add(sent["id"])
    for status, expected in shows.items():
        listed = api.get(f"/api/v1/notifications/?status={status}&limit=100").json()["data"]
        assert {row["id"] for row in listed} == expected, status
        assert {row["status"] for row in listed} == {status}
