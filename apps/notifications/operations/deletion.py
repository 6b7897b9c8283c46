"""What still names a person who was deleted lets go of them, a few rows at a time; then their row goes."""

import time

from django.db import transaction

from apps.notifications.models import Notification, PushLog
from apps.users.models import User

BATCH = 500
TURN_SECONDS = 0.25
"""The tick has other things to do in its second."""


def turn() -> int:
    """How many rows were let go of, or went."""
    ends, done = time.monotonic() + TURN_SECONDS, 0
    for person in User.objects.filter(deleted_at__isnull=False).order_by("deleted_at")[:1]:
        while moved := _let_go(person):
            done += moved
            if time.monotonic() > ends:
                return done
        with transaction.atomic():
            done += person.delete()[0]
    return done


def _let_go(person: User) -> int:
    named = list(Notification.objects.filter(user=person).order_by().values_list("pk", flat=True)[:BATCH])
    if named:
        return Notification.objects.filter(pk__in=named).update(user=None)
    devices = list(person.devices.values_list("pk", flat=True))
    sent = list(PushLog.objects.filter(device__in=devices).order_by().values_list("pk", flat=True)[:BATCH])
    return PushLog.objects.filter(pk__in=sent).update(device=None) if sent else 0
