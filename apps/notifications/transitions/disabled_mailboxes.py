"""Mailboxes that were called disabled for now (a 4xx), which ends them only where it is said on two days."""

from datetime import timedelta

from django.db.models.functions import Now

from apps.notifications.channels.email.refusals import disabled_for_now
from apps.notifications.channels.tracking import Kind
from apps.notifications.models import Delivery, Event
from apps.notifications.models.statuses import Status
from apps.notifications.transitions import timeline

SAID_AGAIN_AFTER = timedelta(days=1)
SAID_AGAIN_WITHIN = timedelta(days=14)


def disabled_before(row: Delivery) -> bool:
    """Whether this mailbox was called disabled for now on another day lately, a day ago or more.

    A server that says so with a 4xx leaves open that it comes back, so one day's word ends nothing.
    """
    rows = type(row).objects.filter(organization_id=row.organization_id, recipient_hash=row.recipient_hash)
    told = Event.objects.filter(
        notification__in=rows.values("notification"),
        delivery_id__in=rows.values("pk"),
        kind__in=(timeline.RETRY, timeline.FAILED, Status.BOUNCED, Kind.DELAYED),
        at__range=(Now() - SAID_AGAIN_WITHIN, Now() - SAID_AGAIN_AFTER),
    ).values_list("data__detail", flat=True)
    return any(disabled_for_now(detail) for detail in told if detail)
