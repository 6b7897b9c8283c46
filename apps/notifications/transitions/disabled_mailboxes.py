"""Mailboxes that a server calls disabled for now (a 4xx): the address is suppressed if it does so on two days."""

from datetime import timedelta

from django.db.models.functions import Now

from apps.notifications.channels.email.refusals import disabled_for_now
from apps.notifications.channels.tracking import Kind
from apps.notifications.models import Delivery, Event
from apps.notifications.models.statuses import Status
from apps.notifications.transitions import timeline

REPEATED_AFTER = timedelta(days=1)
REPEATED_WITHIN = timedelta(days=14)


def disabled_before(row: Delivery) -> bool:
    """Whether this mailbox was called disabled for now on another day lately, a day ago or more.

    With a 4xx the mailbox may come back, so the replies of one day are not enough.
    """
    rows = type(row).objects.filter(organization_id=row.organization_id, recipient_hash=row.recipient_hash)
    details = Event.objects.filter(
        notification__in=rows.values("notification"),
        delivery_id__in=rows.values("pk"),
        kind__in=(timeline.RETRY, timeline.FAILED, Status.BOUNCED, Kind.DELAYED),
        at__range=(Now() - REPEATED_WITHIN, Now() - REPEATED_AFTER),
    ).values_list("data__detail", flat=True)
    return any(disabled_for_now(detail) for detail in details if detail)
