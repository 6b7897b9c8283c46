"""What people answer to a message: whoever asks for no more gets none, until they ask for them again."""

from typing import Any

import structlog
from django.db import transaction

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.channels.tracking import Reply
from apps.notifications.models import ProviderEvent, Suppression
from apps.notifications.routing.accounts import channels_of
from apps.notifications.transitions import timeline
from apps.users.audit_log import acting
from apps.users.models import User
from apps.users.recipient_hashes import recipient_hash
from notifier.channels.registry import CHANNELS, PERSON_COLUMNS

log = structlog.get_logger(__name__)

REASON = "refused_by_reply"
OPTED_OUT = "opted_out"
"""A provider's code, where it refuses an address for which it has got such a reply itself."""
LIFTED = "asked for again by a reply"
RECIPIENT = "recipient"
"""Who made, or lifted, the suppression."""


@transaction.atomic
def apply(source: str, reply: Reply) -> bool:
    """Suppress the address, or lift what an earlier reply had suppressed, for each organization that has sent to it
    through the account `source`, or knows somebody there. Returns whether the reply was new."""
    _, new = ProviderEvent.objects.get_or_create(
        source=source, key=reply.key, defaults={"kind": timeline.REPLIED, "due_at": None}
    )
    if not new:
        return False
    for channel in channels_of(source):
        hashed = recipient_hash(channel, reply.recipient)
        rows = _sent(channel, hashed, source)
        for organization in _organizations(channel, reply.recipient, rows):
            latest = rows.filter(organization=organization).order_by("-id").first()
            with acting(RECIPIENT):
                if reply.refuses:
                    # An erased person's address is not stored again.
                    shown = "" if latest is not None and not latest.recipient else reply.recipient
                    changed = _refuse(organization, channel, hashed, shown)
                else:
                    changed = _allow(organization, channel, hashed)
            if changed and latest is not None:
                timeline.note(latest, timeline.REPLIED, source=source, refuses=str(reply.refuses).lower())
            log.info("reply", organization=str(organization), refuses=reply.refuses, changed=changed)
    return True


def _sent(channel: str, hashed: str, source: str) -> Any:
    """The deliveries to the address that may have gone out through the account: a crash may have kept its name."""
    return DELIVERIES[channel].objects.filter(
        recipient_hash=hashed, provider__in=(source, ""), notification__live=True
    )


def _organizations(channel: str, recipient: str, rows: Any) -> set[Any]:
    """Those that have sent to the address, and those who know a person with it: what was sent may be purged."""
    found = set(rows.order_by().values_list("organization", flat=True).distinct())
    if channel in PERSON_COLUMNS:
        people = User.objects.filter(User.reached_at(channel, recipient), erased_at=None)
        found.update(people.values_list("organization", flat=True))
    return found


def _refuse(organization: Any, channel: str, hashed: str, recipient: str) -> bool:
    _, made = Suppression.objects.get_or_create(
        organization_id=organization,
        channel=channel,
        recipient_hash=hashed,
        lifted_at=None,
        defaults={
            "recipient": recipient if CHANNELS[channel].address.readable else "",
            "reason": REASON,
            "created_by": RECIPIENT,
        },
    )
    return made


def _allow(organization: Any, channel: str, hashed: str) -> bool:
    """Lifts what the person has asked for alone: an operator's reason, or a dead number, stays."""
    theirs = Suppression.objects.filter(
        organization=organization, channel=channel, recipient_hash=hashed, reason__in=(REASON, OPTED_OUT)
    )
    return theirs.lift(by=RECIPIENT, reason=LIFTED) > 0
