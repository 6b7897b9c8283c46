"""Accepting notifications: planned one by one, stored together in one transaction, published after the commit.

Whatever is at fault with one of several requests is its own result; it spoils no other.
"""

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from django.db import IntegrityError, connection, transaction

from apps.notifications.acceptance import backpressure
from apps.notifications.acceptance.lookups import Lookups, gather
from apps.notifications.acceptance.planning import Plan, plan
from apps.notifications.acceptance.request import NotificationRequest
from apps.notifications.errors import AlreadyDelivered, Invalid, NotifierError, RequestIdReused
from apps.notifications.models import BULK_BELOW, DELIVERIES, Delivery, Event, Notification, deliveries_of
from apps.notifications.models.statuses import WENT_OUT, Status
from apps.notifications.observability.metrics import ACCEPTED
from apps.notifications.queue import topology
from apps.notifications.queue.publisher import Wake, publisher
from apps.notifications.transitions import eligibility, timeline
from apps.notifications.webhooks import events
from apps.templates.liquid import budget
from apps.templates.liquid.limits import TooSlow
from apps.templates.rendering.rendering import TOO_COSTLY
from apps.users.access.authentication import Caller
from notifier.lib.database import storage
from notifier.lib.database.group_commit import GroupCommit
from notifier.lib.database.sql import insert

BATCH_TOO_DEAR = (
    "the items before this one took all the time there is for rendering; send it in another batch"
)
RACES = 3
"""How often storing is tried again after another request was faster with one of the request_ids."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A request with the hash of the body that it came in."""

    request: NotificationRequest
    body_hash: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a request has made, now or when its request_id came first."""

    notification: Notification
    deliveries: list[Delivery]


def submit(*, caller: Caller, asked: Submission) -> Accepted:
    """Accept one request; the caller's transaction, if any, takes part. Without one it is accepted together with
    what else this caller asks of this process at that moment. Raises NotifierError."""
    if connection.in_atomic_block:
        (result,) = submit_all(caller=caller, asked=[asked])
    else:
        result = _singles.submit((caller.organization.pk, caller.live, caller.name), (caller, asked))
    if isinstance(result, NotifierError):
        raise result
    return result


def _submit_singles(singles: Sequence[tuple[Caller, Submission]]) -> list[Accepted | NotifierError]:
    # They are one caller's. The last to come has read its key and organization last.
    return submit_all(caller=singles[-1][0], asked=[asked for _, asked in singles])


_singles = GroupCommit(_submit_singles, most=100)


def preview(*, caller: Caller, asked: Submission) -> Plan:
    """What would be decided and sent; stores nothing. Raises NotifierError."""
    known = gather(caller.organization, [asked.request], live=caller.live)
    return plan(caller=caller, request=asked.request, body_hash=asked.body_hash, known=known)


def preview_all(
    *, caller: Caller, asked: Sequence[Submission]
) -> tuple[list[Accepted | NotifierError], dict[uuid.UUID, Plan]]:
    """The same for each of several, with one allowance for all; what is new has a plan, by its notification's id."""
    known = gather(caller.organization, [one.request for one in asked], live=caller.live)
    with budget.allowance(cpu=budget.BATCH_CPU, why=BATCH_TOO_DEAR):
        results, plans = _plan_all(caller, asked, known)
    return results, {planned.notification.pk: planned for planned in plans}


def submit_all(*, caller: Caller, asked: Sequence[Submission]) -> list[Accepted | NotifierError]:
    """Accept each request or say what is wrong with it; one result a request, in order.

    A `request_id` that came before, in this call or an earlier one, gets what it made then: AlreadyDelivered
    once something went out, else the notification as it is. Never a second send.
    """
    for race in range(RACES):
        known = gather(caller.organization, [one.request for one in asked], live=caller.live)
        # What one call may take of a thread that others wait for, whatever it holds.
        with budget.allowance(cpu=budget.BATCH_CPU, why=BATCH_TOO_DEAR):
            results, plans = _plan_all(caller, asked, known)
        try:
            _store(plans)
        except IntegrityError:
            # Another request with one of these request_ids was faster; the constraint told us, so its row
            # is there to be found now.
            if race + 1 == RACES or not any(one.request.request_id for one in asked):
                raise
            continue
        _announce(plans)
        return results
    raise AssertionError("unreachable")


def _announce(plans: Sequence[Plan]) -> None:
    """Count what is accepted, and wake who sends it, once it is committed."""
    lanes = Counter(_lanes(plans))
    wakes = [
        Wake(row.channel, row.priority, str(row.pk), row.fence)
        for planned in plans
        for row in planned.deliveries
        if row.status == Status.QUEUED and planned.notification.scheduled_at is None and not row.due_later
    ]

    def announce() -> None:
        for lane, count in lanes.items():
            ACCEPTED.labels(*lane).inc(count)
        publisher.wake(wakes)

    # What fails here is logged: the rows are there, so nobody may be told to ask again, and the tick wakes them.
    transaction.on_commit(announce, robust=True)


def _lanes(plans: Sequence[Plan]) -> Iterator[tuple[str, str]]:
    """(channel, lane) of each delivery that is to be sent."""
    for planned in plans:
        for row in planned.deliveries:
            if row.status == Status.QUEUED:
                yield str(row.channel), topology.lane(row.channel, row.priority)


def _plan_all(
    caller: Caller, asked: Sequence[Submission], known: Lookups
) -> tuple[list[Accepted | NotifierError], list[Plan]]:
    results: list[Accepted | NotifierError] = []
    plans: list[Plan] = []
    here: dict[str, Accepted] = {}
    before = deliveries_of(known.earlier.values()) if known.earlier else {}
    # Once for all of them: a batch is taken or refused as a whole.
    organization = caller.organization.pk
    full_lanes = any(one.request.priority < BULK_BELOW for one in asked) and backpressure.gauge.is_full(
        organization
    )
    full = any(one.request.scheduled_at for one in asked) and backpressure.over_schedule(organization)
    for one in asked:
        request_id = one.request.request_id
        try:
            if request_id is not None and request_id in known.earlier:
                found = known.earlier[request_id]
                results.append(_again(Accepted(found, before[found.pk]), one.body_hash))
                continue
            if request_id is not None and request_id in here:
                results.append(_again(here[request_id], one.body_hash))
                continue
            try:
                # What is refused before it is rendered costs something, too.
                if len(asked) > 1:
                    budget.check()
            except TooSlow as error:
                raise Invalid.at("variables", TOO_COSTLY, str(error.message)) from error
            planned = plan(caller=caller, request=one.request, body_hash=one.body_hash, known=known)
            # Nobody reads these words: a batch's would fill the memory until all of it is stored.
            planned.rendered.clear()
            if full_lanes and one.request.priority < BULK_BELOW:
                raise backpressure.refusal()
            if full and one.request.scheduled_at is not None:
                raise backpressure.schedule_refusal()
        except NotifierError as error:
            results.append(error)
            continue
        accepted = Accepted(planned.notification, planned.deliveries)
        plans.append(planned)
        results.append(accepted)
        if request_id is not None:
            here[request_id] = accepted
    return results, plans


def _again(found: Accepted, body_hash: str) -> Accepted:
    if found.notification.body_hash != body_hash:
        raise RequestIdReused("This request_id came with another body before; use a new one.")
    if any(row.status in WENT_OUT for row in found.deliveries):
        raise AlreadyDelivered("This request_id was sent already.", data=found)
    return found


def _store(plans: Sequence[Plan]) -> None:
    """All or nothing. One statement stores everything, and needs no transaction unless the caller has one."""
    deliveries = [row for planned in plans for row in planned.deliveries]
    closed = [row for row in deliveries if row.status != Status.QUEUED]
    alone = storage.on_postgresql() and not closed and not connection.in_atomic_block
    with nullcontext() if alone else transaction.atomic():
        events.announce([events.StatusChange(row, row.status, row.reason) for row in closed])
        insert(
            [planned.notification for planned in plans],
            *([row for row in deliveries if isinstance(row, model)] for model in DELIVERIES.values()),
            _lines(plans),
        )


def _lines(plans: Sequence[Plan]) -> list[Event]:
    """How the timelines begin."""
    return [
        timeline.accepted(
            planned.notification,
            template=planned.version.template.code,
            version=planned.version.number,
            decisions=planned.decisions,
        )
        for planned in plans
    ] + [
        timeline.line(row, timeline.DEFERRED, code=eligibility.QUIET_HOURS, until=row.due_at.isoformat())
        for planned in plans
        if planned.notification.scheduled_at is None
        for row in planned.deliveries
        if row.due_later
    ]
