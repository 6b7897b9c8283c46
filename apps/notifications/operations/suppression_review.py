"""Suppressions that a refusal made and that the present reading of refusals would not make: an earlier release took
every bare 550 for a dead address."""

from collections.abc import Iterator

from apps.notifications.channels.email.refusal_phrases import Meaning
from apps.notifications.channels.email.refusals import GONE, reported
from apps.notifications.models import Suppression
from apps.users.channels import Channel

BY_REPLY = ("mailbox_unknown", "mailbox_disabled", "mailbox_reassigned")
BY_REPORT = "bounced"


def doubtful(*, organization: str = "") -> Iterator[tuple[Suppression, Meaning]]:
    """Active ones of a delivery's end whose words don't call the address dead, and what they say instead.

    `organization`: a slug, or all. An erased person's have no words left, and are taken as they are.
    """
    rows = Suppression.objects.active().filter(
        channel=Channel.EMAIL, created_by="", reason__in=(*BY_REPLY, BY_REPORT)
    )
    if organization:
        rows = rows.filter(organization__slug=organization)
    for row in rows.exclude(detail="").select_related("organization").order_by("pk").iterator():
        said = reported("", row.detail)
        # An email service calls an address dead in a word of its own, and need not say why.
        if said not in GONE and not (row.reason == BY_REPORT and said is Meaning.SILENT):
            yield row, said
