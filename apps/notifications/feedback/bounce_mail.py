"""The rule for a mail that may be a bounce, wherever it comes from: its tracking event is recorded, or it is put
aside with a reason."""

from dataclasses import dataclass

import structlog
from django.db import transaction

from apps.notifications.channels.email.render import Forged
from apps.notifications.channels.tracking import TrackingEvent
from apps.notifications.feedback import dsn, tracking_events
from notifier.lib.database.recovery import AWAY

log = structlog.get_logger(__name__)

SOURCE = "@bounces"
"""The source of these tracking events; no provider account can have this name."""
ASIDE = "aside"
"""The kind of a mail that is no bounce of ours, beside the kinds of tracking events."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one mail comes to: its event, or None and the reason why it is put aside."""

    event: TrackingEvent | None
    reason: str = ""

    @property
    def kind(self) -> str:
        return ASIDE if self.event is None else str(self.event.kind)


def read(octets: bytes, mail: str) -> Reading:
    """What the mail comes to; never raises. `mail`: what the log calls it. Nothing past `dsn.SIZE_LIMIT` is read."""
    try:
        return Reading(dsn.read(octets))
    except dsn.NotABounce as error:
        reason = str(error)
    except Forged:
        reason = "forged return path"
    except Exception:
        # Anybody can send mail here, and one unreadable mail must not block the others.
        log.exception("bounce_unreadable", mail=mail)
        reason = "unreadable"
    return _aside(reason, mail)


def record(reading: Reading, mail: str) -> Reading:
    """Store the reading's event, if it has one, and apply it if its delivery is known; the same one again changes
    nothing. Returns a reading without an event where it can't be stored. Raises one of `AWAY`."""
    if reading.event is None:
        return reading
    try:
        with transaction.atomic():
            tracking_events.record(SOURCE, [reading.event])
    except AWAY:
        raise
    except Exception:
        log.exception("bounce_not_recorded", mail=mail)
        return _aside("not recorded", mail)
    return reading


def _aside(reason: str, mail: str) -> Reading:
    log.warning("bounce_put_aside", mail=mail, reason=reason)
    return Reading(None, reason)
