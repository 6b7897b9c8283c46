"""A person is deleted: gone at once for whoever asks, whatever hangs on them.

Millions of notifications may name them, and each is a row to change; so only few of them are changed in the request,
and the tick goes through the others (`apps.notifications.operations.deletion`).
"""

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models.functions import Now

from apps.users import audit_log
from apps.users.models import User
from apps.users.models.scopes import Role

AT_ONCE = 500
"""Notifications that are let go of in a request."""


def leave(person: User) -> None:
    """Delete the person now, or take away all that they are and have by now and leave the row to the tick."""
    with transaction.atomic():
        # Locked: what is accepted for them meanwhile waits, or has been counted.
        User.objects.select_for_update().get(pk=person.pk)
        if person.notifications.order_by()[: AT_ONCE + 1].count() <= AT_ONCE:
            person.delete()
            return
        person.preferences.all().delete()
        for device in person.devices.all():
            audit_log.record_deletion(device)
        audit_log.record_deletion(person)
        # Their address is free again, their password and their tokens are dead, and nothing more is sent to them.
        with audit_log.acting():
            User.objects.filter(pk=person.pk).update(
                email=f"{person.pk.hex}@deleted.invalid",
                name="",
                password=make_password(None),
                role=Role.MEMBER,
                is_active=False,
                is_staff=False,
                is_superuser=False,
                erased_at=Now(),
                deleted_at=Now(),
            )
