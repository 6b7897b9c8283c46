"""The scheduler runs, no provider's circuit is open, and no tracking event is waiting to be parsed."""

from collections import Counter

from django.db.models.functions import Now
from django.utils import timezone

from apps.admin.doctor.findings import Finding, ok, wrong
from apps.notifications.models import ProviderState, TickLease, UnreadEvent
from apps.notifications.scheduler.loop import NAME


def tick() -> list[Finding]:
    leases = TickLease.objects.filter(name=NAME)
    if alive := leases.filter(lease_until__gt=Now()).first():
        return [ok(f"The scheduler runs ({alive.holder}).")]
    remedy = "Start manage.py tick: until then retries, scheduled sends and messages left by an outage wait."
    if stale := leases.first():
        last = timezone.localtime(stale.lease_until)
        return [
            wrong(f"The scheduler does not run: {stale.holder} was last seen at {last:%F %T %Z}.", remedy)
        ]
    return [wrong("No scheduler runs.", remedy)]


def events() -> list[Finding]:
    waiting = UnreadEvent.objects.filter(state=UnreadEvent.State.OPEN).values_list("source", flat=True)
    found = Counter(waiting[:1000])
    if not found:
        return [ok("Every webhook event of the email services could be parsed.")]
    counts = ", ".join(f"{count} of {source}" for source, count in sorted(found.items()))
    remedy = "See them in the admin (Unread events); after an upgrade run manage.py reread_events."
    return [
        wrong(
            f"Webhook events of email services have a format that this release can't parse: {counts}.", remedy
        )
    ]


def providers() -> list[Finding]:
    open_circuits = ProviderState.objects.filter(open_until__gt=Now()).order_by("name")
    found = [
        wrong(
            f"The circuit of the provider {state.name} is open until {timezone.localtime(state.open_until):%F %T %Z} "
            f"({state.code}): {state.detail.rstrip('.') or 'no detail'}.",
            "Correct the cause and restart the workers; the admin (Provider states) can close the circuit at once.",
        )
        for state in open_circuits
        if state.open_until
    ]
    return found or [ok("No provider's circuit is open.")]
