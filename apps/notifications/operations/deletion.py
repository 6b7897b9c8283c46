"""Deletes users in the background: detaches the rows that refer to them, in batches, then deletes their own row."""

import time

from django.db import transaction

from apps.notifications.channels.push.log import PushLog
from apps.notifications.models import Notification
from apps.users.models import User

BATCH = 500
TURN_SECONDS = 0.25
"""Seconds of work at a time: the scheduler has other work in each second."""


def turn() -> int:
    """Work for `TURN_SECONDS`, a batch at least. Returns how many rows were detached or deleted."""
    ends, done = time.monotonic() + TURN_SECONDS, 0
    for person in User.objects.filter(deleted_at__isnull=False).order_by("deleted_at")[:1]:
        while detached := _detach(person):
            done += detached
            if time.monotonic() > ends:
                return done
        with transaction.atomic():
            done += person.delete()[0]
    return done


def _detach(person: User) -> int:
    named = list(Notification.objects.filter(user=person).order_by().values_list("pk", flat=True)[:BATCH])
    if named:
        return Notification.objects.filter(pk__in=named).update(user=None)
    devices = list(person.devices.values_list("pk", flat=True))
    sent = list(PushLog.objects.filter(device__in=devices).order_by().values_list("pk", flat=True)[:BATCH])
    return PushLog.objects.filter(pk__in=sent).update(device=None) if sent else 0
