"""The work itself: a tick turns, and no provider rests."""

from collections import Counter

from django.db.models.functions import Now
from django.utils import timezone

from apps.admin.doctor.findings import Finding, ok, wrong
from apps.notifications.models import ProviderState, TickLease, UnreadEvent
from apps.notifications.scheduler.loop import NAME


def tick() -> list[Finding]:
    leases = TickLease.objects.filter(name=NAME)
    if alive := leases.filter(lease_until__gt=Now()).first():
        return [ok(f"The tick runs ({alive.holder}).")]
    remedy = "Start manage.py tick: until then retries, scheduled sends and an outage's leftovers wait."
    if stale := leases.first():
        last = timezone.localtime(stale.lease_until)
        return [wrong(f"The tick does not run: {stale.holder} was last seen at {last:%F %T %Z}.", remedy)]
    return [wrong("No tick runs.", remedy)]


def events() -> list[Finding]:
    waiting = UnreadEvent.objects.filter(state=UnreadEvent.State.OPEN).values_list("source", flat=True)
    found = Counter(waiting[:1000])
    if not found:
        return [ok("Every event of an email service could be read.")]
    counts = ", ".join(f"{count} of {source}" for source, count in sorted(found.items()))
    remedy = "See them in the admin (Unread events); after an upgrade run manage.py reread_events."
    return [
        wrong(f"Events of email services have a shape that this release does not know: {counts}.", remedy)
    ]


def providers() -> list[Finding]:
    open_circuits = ProviderState.objects.filter(open_until__gt=Now()).order_by("name")
    found = [
        wrong(
            f"The provider {state.name} rests until {timezone.localtime(state.open_until):%F %T %Z} "
            f"({state.code}): {state.detail.rstrip('.') or 'no detail'}.",
            "Correct the cause and restart the workers; the admin's provider states can end the rest at once.",
        )
        for state in open_circuits
        if state.open_until
    ]
    return found or [ok("No provider rests.")]
