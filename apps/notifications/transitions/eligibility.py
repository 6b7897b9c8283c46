"""Whether a delivery may be sent, and when: decided on acceptance, and again right before the send, since things may
have changed, and a person who opted out a minute ago gets nothing.

The order of the checks: organization active, user active, category and the person's preferences, suppression, expiry,
quiet hours, cap. The first that fails decides. What is mandatory skips the preferences, the quiet hours and the cap.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Lower, Now

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.models import Delivery, Suppression, from_now
from apps.notifications.models.statuses import WENT_OUT, Status
from apps.notifications.transitions import outcomes, timeline
from apps.users.models import Category, Device, User
from apps.users.preferences import opt_outs
from apps.users.recipient_hashes import recipient_hash
from notifier.channels.registry import CHANNELS, PERSON_COLUMNS

ORGANIZATION_INACTIVE = "organization_inactive"
USER_INACTIVE = "user_inactive"
OPTED_OUT = "opted_out"
SUPPRESSED = "suppressed"
NO_CONTACT = "no_contact"
EXPIRED = "expired"
QUIET_HOURS = "quiet_hours"
CAP = "cap"


class Action(StrEnum):
    """What is done with a delivery."""

    SEND = "send"
    SKIP = "skip"
    EXPIRE = "expire"
    DEFER = "defer"
    TIME_OUT = "time_out"
    """Only for a claimed row: its deadline has passed."""


@dataclass(frozen=True, slots=True)
class Decision:
    """`until`: when it is decided again, only for DEFER."""

    action: Action
    reason: str = ""
    until: datetime | None = None


SEND = Decision(Action.SEND)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the policy looks at for one person and one kind of message, loaded in two queries."""

    organization_active: bool
    user: User | None
    choices: opt_outs.Choices
    category: Category | None
    suppressed: frozenset[tuple[str, str]]

    def decide(
        self,
        channel: str,
        recipient_hash: str,
        *,
        now: datetime,
        expires_at: datetime | None,
        counted: Callable[[Category], int],
    ) -> Decision:
        """`counted`: how many messages of a category with a cap the recipient got lately; called only if needed."""
        if reason := self._refusal(channel, recipient_hash):
            return Decision(Action.SKIP, reason)
        if expires_at is not None and expires_at <= now:
            return Decision(Action.EXPIRE, EXPIRED)
        if self.category is not None and self.category.mandatory:
            return SEND
        until = self.user.end_of_quiet_hours(now) if self.user is not None else None
        if until is not None:
            if expires_at is not None and expires_at <= until:
                return Decision(Action.EXPIRE, QUIET_HOURS)
            return Decision(Action.DEFER, QUIET_HOURS, until)
        if self.category is None or self.category.cap is None or counted(self.category) < self.category.cap:
            return SEND
        return Decision(Action.SKIP, CAP)

    def _refusal(self, channel: str, recipient_hash: str) -> str:
        if not self.organization_active:
            return ORGANIZATION_INACTIVE
        if self.user is not None and not self.user.is_active:
            return USER_INACTIVE
        if not opt_outs.allows(self.choices, channel, self.category):
            return OPTED_OUT
        if (channel, recipient_hash) in self.suppressed:
            return SUPPRESSED
        return ""


def facts_of(rows: Sequence[Delivery]) -> dict[Any, Facts]:
    """The facts of each row, by its id, in two queries for all of them."""
    _resolve_people(rows)
    people = {row.notification.user for row in rows}
    choices = opt_outs.choices_of_all([person for person in people if person is not None])
    suppressed: dict[Any, set[tuple[str, str]]] = defaultdict(set)
    found = Suppression.objects.active().filter(recipient_hash__in={row.recipient_hash for row in rows})
    for organization, channel, recipient in found.values_list("organization_id", "channel", "recipient_hash"):
        suppressed[organization].add((channel, recipient))
    known = {organization: frozenset(those) for organization, those in suppressed.items()}
    return {
        row.pk: Facts(
            organization_active=row.organization.is_active,
            user=row.notification.user,
            choices=choices.get(row.notification.user.pk, {}) if row.notification.user else {},
            category=row.notification.template_version.template.category,
            suppressed=known.get(row.organization_id, frozenset()),
        )
        for row in rows
    }


def _resolve_people(rows: Sequence[Delivery]) -> None:
    """Set the person of rows to a bare address or device: its owner now, who may have changed since acceptance."""
    bare = [row for row in rows if not row.notification.for_user]
    tokens = {row.recipient_hash for row in bare if _of_device(row) and row.recipient_hash}
    organizations = {row.organization_id for row in bare}
    owners: dict[tuple[Any, str], User] = {}
    people = User.objects.filter(organization__in=organizations, erased_at=None)
    for channel, column in PERSON_COLUMNS.items():
        named = [row.recipient for row in bare if row.channel == channel and row.recipient]
        if forms := {form for address in named for form in CHANNELS[channel].address.folded(address)}:
            # Of several people with one address the one who was registered first counts.
            having = people.exclude(**{column: ""}).annotate(folded=Lower(column)).filter(folded__in=forms)
            for user in having.order_by("-pk"):
                owners[user.organization_id, recipient_hash(channel, getattr(user, column))] = user
    if tokens:
        devices = Device.objects.active().filter(organization__in=organizations, token_hash__in=tokens)
        devices = devices.filter(user__erased_at=None)
        for device in devices.select_related("user"):
            owners[device.organization_id, device.token_hash] = device.user
    for row in bare:
        row.notification.user = owners.get((row.organization_id, row.recipient_hash))


def _of_device(row: Delivery) -> bool:
    return CHANNELS[row.channel].address.of_device


def counts(category: Category, hashes: Iterable[str], *, live: bool) -> dict[tuple[str, str], int]:
    """How many messages of the category each recipient got within its window, or is about to get, by (channel, the
    recipient's hash).
    """
    recipients = list(hashes)
    found = {}
    for channel, model in DELIVERIES.items():
        rows = _lately(model, category, live=live).filter(recipient_hash__in=recipients)
        per = rows.order_by().values_list("recipient_hash").annotate(count=Count("pk"))
        found.update({(channel, recipient): count for recipient, count in per})
    return found


def count_before(row: Delivery, category: Category) -> int:
    """As `counts` for one claimed row's recipient, up to the cap and without the row itself.

    Of the other rows that wait, only older ones count: of any number that are due at once, as many as the cap allows
    are sent.
    """
    rows = _lately(type(row), category, live=row.notification.live, waiting=Q(pk__lt=row.pk))
    return rows.filter(recipient_hash=row.recipient_hash)[: category.cap].count()


def _lately(
    model: type[Delivery], category: Category, *, live: bool, waiting: Q | None = None
) -> QuerySet[Delivery]:
    since = from_now(-(category.cap_window or 0))
    # A receipt may have reported a delivery whose send was unknown: then there is no `sent_at`.
    went_out = Q(sent_at__gt=since) | Q(sent_at=None, finished_at__gt=since)
    due = Q(due_at__lte=Now()) & (waiting or Q())
    rows: QuerySet[Delivery] = model.objects.filter(  # type: ignore[attr-defined]
        Q(status__in=WENT_OUT) & went_out | Q(status__in=(Status.QUEUED, Status.SENDING)) & due,
        notification__template_version__template__category=category,
        notification__live=live,
    )
    return rows


_Devices = frozenset[tuple[Any, str]]
"""(a person's id, a token's hash) of active devices."""


def recheck_eligibility(rows: Sequence[Delivery]) -> list[Delivery]:
    """Those of these claimed rows that may go out now; the others are ended or put off. A few queries for all."""
    facts, devices = facts_of(rows), _devices(rows)
    sendable = []
    for row in rows:
        # One after the other: a row that ends here no longer counts towards its category's cap.
        decision = _decide_claimed(row, facts[row.pk], devices)
        _apply(row, decision)
        if decision.action is Action.SEND:
            sendable.append(row)
    return sendable


def _decide_claimed(row: Delivery, facts: Facts, devices: _Devices) -> Decision:
    now = row.db_now  # type: ignore[attr-defined]
    decision = facts.decide(
        row.channel,
        row.recipient_hash,
        now=now,
        expires_at=row.notification.expires_at,
        counted=partial(count_before, row),
    )
    if decision.action is not Action.SKIP and (reason := _gone(row, devices)):
        return Decision(Action.SKIP, reason)
    if decision.action in (Action.SEND, Action.DEFER) and row.deadline_at <= now:
        return Decision(Action.TIME_OUT)
    return decision


def _gone(row: Delivery, devices: _Devices) -> str:
    """The reason to skip if the person is gone, or the device is no longer theirs; "" if neither."""
    notification = row.notification
    if not row.recipient:
        # Erased meanwhile.
        return NO_CONTACT
    if not notification.for_user:
        return ""
    if notification.user is None:
        return USER_INACTIVE
    if _of_device(row) and (notification.user_id, row.recipient_hash) not in devices:
        return NO_CONTACT
    return ""


def _apply(row: Delivery, decision: Decision) -> None:
    match decision.action:
        case Action.SKIP:
            outcomes.close(row, Status.SKIPPED, timeline.SKIPPED, reason=decision.reason)
        case Action.EXPIRE:
            outcomes.close(row, Status.EXPIRED, timeline.EXPIRED, reason=decision.reason)
        case Action.TIME_OUT:
            outcomes.time_out(row)
        case Action.DEFER if decision.until is not None:
            outcomes.put_off(row, decision.until, code=decision.reason)


def _devices(rows: Sequence[Delivery]) -> _Devices:
    pushes = [row for row in rows if _of_device(row) and row.notification.user_id is not None]
    if not pushes:
        return frozenset()
    found = Device.objects.active().filter(
        user__in={row.notification.user_id for row in pushes},
        token_hash__in={row.recipient_hash for row in pushes},
    )
    return frozenset(found.values_list("user_id", "token_hash"))


# The same in SQL, for the rows of a claim: where this holds, `_decide_claimed` decides to send. It only checks
# whether any reason to object exists, never its details; every other row is rechecked.
_PLAIN = """
  organization.is_active AND row.{recipient} <> '' AND row.deadline_at > statement_timestamp()
  AND notification.expires_at IS NULL AND category.cap IS NULL
  AND NOT EXISTS (
    SELECT FROM notifications_suppression AS suppression
    WHERE suppression.recipient_hash = row.recipient_hash AND suppression.lifted_at IS NULL
  )
  AND CASE WHEN person.id IS NULL THEN NOT notification.for_user AND NOT EXISTS ({at_recipient}) ELSE
    person.is_active AND person.quiet_from IS NULL
    AND CASE WHEN notification.for_user THEN {their_device} ELSE
      EXISTS ({at_recipient} AND {owner} = person.id) AND NOT EXISTS ({at_recipient} AND {owner} <> person.id)
    END
    AND NOT EXISTS (
      SELECT FROM users_notificationpreference AS preference
      WHERE preference.user_id = person.id AND NOT preference.enabled
    )
  END
"""
_THEIR_DEVICE = """EXISTS (
      SELECT FROM users_device AS device
      WHERE device.user_id = person.id AND device.token_hash = row.recipient_hash AND device.retired_at IS NULL
    )"""
# The owner of a bare address or token now, who may have changed since acceptance.
_AT_ADDRESS = """
    SELECT FROM users_user AS registered
    WHERE registered.organization_id = row.organization_id AND registered.{column} <> ''
      AND lower(registered.{column}) = lower(row.{recipient})"""
_AT_DEVICE = """
    SELECT FROM users_device AS device
    WHERE device.organization_id = row.organization_id AND device.token_hash = row.recipient_hash
      AND device.retired_at IS NULL"""


def plain_sql(model: type[Delivery]) -> str:
    """The SQL condition under which a claimed row is plain, over the tables that a claim joins (`claims`)."""
    column = PERSON_COLUMNS.get(model.channel)
    at_recipient = _AT_ADDRESS.replace("{column}", column) if column else _AT_DEVICE
    return (
        _PLAIN.replace("{their_device}", "true" if column else _THEIR_DEVICE)
        .replace("{owner}", "registered.id" if column else "device.user_id")
        .replace("{at_recipient}", at_recipient)
        .replace("{recipient}", model.RECIPIENT)
    )
