"""Finds suppressions after a refusal that the present classification would not make: an earlier release took every
bare 550 for a dead address."""

from collections.abc import Iterator

from apps.notifications.channels.email.refusal_phrases import Meaning
from apps.notifications.channels.email.refusals import GONE, reported
from apps.notifications.models import Suppression
from notifier.channels.email import EMAIL

BY_REPLY = ("mailbox_unknown", "mailbox_disabled", "mailbox_reassigned")
BY_REPORT = "bounced"


def doubtful(*, organization: str = "") -> Iterator[tuple[Suppression, Meaning]]:
    """Active suppressions by a delivery's outcome whose detail doesn't call the address dead, with its meaning.

    `organization`: a slug; empty for all. An erased person's have no detail any more, and are left out.
    """
    rows = Suppression.objects.active().filter(
        channel=EMAIL.code, created_by="", reason__in=(*BY_REPLY, BY_REPORT)
    )
    if organization:
        rows = rows.filter(organization__slug=organization)
    for row in rows.exclude(detail="").select_related("organization").order_by("pk").iterator():
        meaning = reported("", row.detail)
        # An email service classifies an address as dead by itself, and may give no reason.
        if meaning not in GONE and not (row.reason == BY_REPORT and meaning is Meaning.SILENT):
            yield row, meaning
