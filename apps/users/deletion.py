"""Deletion of a person: gone at once for every caller, however many rows refer to them.

Millions of notifications may refer to them, and each is a row to change; so only a few are changed in the request,
and the scheduler works through the others (`apps.notifications.operations.deletion`).
"""

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models.functions import Now

from apps.users import audit_log
from apps.users.models import User
from apps.users.models.scopes import Role

AT_ONCE = 500
"""The most notifications that are detached within the request."""


def delete_person(person: User) -> None:
    """Delete the person now; or, with many notifications, clear their data and leave the row to the scheduler."""
    with transaction.atomic():
        # Locked: a notification that is accepted for them meanwhile either waits or is in the count.
        User.objects.select_for_update().get(pk=person.pk)
        if person.notifications.order_by()[: AT_ONCE + 1].count() <= AT_ONCE:
            person.delete()
            return
        person.preferences.all().delete()
        for device in person.devices.all():
            audit_log.record_deletion(device)
        audit_log.record_deletion(person)
        # This frees their address, invalidates their password and tokens, and stops further messages to them.
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
