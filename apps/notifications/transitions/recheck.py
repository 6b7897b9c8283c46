"""Once more right before the send: things may have changed since acceptance, and whoever opted out a minute ago
is not told."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from apps.notifications.models import Delivery, PushLog
from apps.notifications.models.statuses import Status
from apps.notifications.transitions import eligibility, outcomes, timeline
from apps.users.models import Device

_Theirs = frozenset[tuple[Any, str]]
"""(a person's id, a token's hash): whose device it is."""


def recheck_eligibility(rows: Sequence[Delivery]) -> list[Delivery]:
    """Those of these claimed rows that may go out now; the others are ended or put off. A few queries for all."""
    facts = eligibility.facts_of(rows)
    devices = _devices(rows)
    return [row for row in rows if not _ended_before(row, facts[row.pk], devices)]


def _ended_before(row: Delivery, facts: eligibility.Facts, devices: _Theirs) -> bool:
    notification = row.notification
    now = row.db_now  # type: ignore[attr-defined]
    decision = facts.decide(
        row.channel,
        row.recipient_hash,
        now=now,
        expires_at=notification.expires_at,
        counted=partial(eligibility.count_before, row),
    )
    if decision.action is not eligibility.Action.SKIP and (gone := _moved_on(row, devices)):
        decision = eligibility.Decision(eligibility.Action.SKIP, gone)
    if decision.action is eligibility.Action.SKIP:
        outcomes.close(row, Status.SKIPPED, timeline.SKIPPED, reason=decision.reason)
    elif decision.action is eligibility.Action.EXPIRE:
        outcomes.close(row, Status.EXPIRED, timeline.EXPIRED, reason=decision.reason)
    elif row.deadline_at <= now:
        outcomes.time_out(row)
    elif decision.until is not None:
        outcomes.put_off(row, decision.until, code=decision.reason)
    else:
        return False
    return True


def _moved_on(row: Delivery, devices: _Theirs) -> str:
    """A reason where the person is gone, or the device is no longer theirs: it may be in other hands by now."""
    notification = row.notification
    if not row.recipient:
        # Erased meanwhile.
        return eligibility.NO_CONTACT
    if not notification.for_user:
        return ""
    if notification.user is None:
        return eligibility.USER_INACTIVE
    if isinstance(row, PushLog) and (notification.user_id, row.recipient_hash) not in devices:
        return eligibility.NO_CONTACT
    return ""


def _devices(rows: Sequence[Delivery]) -> _Theirs:
    pushes = [row for row in rows if isinstance(row, PushLog) and row.notification.user_id is not None]
    if not pushes:
        return frozenset()
    found = Device.objects.active().filter(
        user__in={row.notification.user_id for row in pushes},
        token_hash__in={row.recipient_hash for row in pushes},
    )
    return frozenset(found.values_list("user_id", "token_hash"))
