"""Accepting notifications: planned one by one, stored together in one transaction, published after the commit.

An error in one of several requests is that request's result; the others are accepted all the same.
"""

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, connection, transaction

from apps.notifications.acceptance import backpressure
from apps.notifications.acceptance.planning import Lookups, Plan, gather, plan
from apps.notifications.acceptance.request import NotificationRequest
from apps.notifications.channels.logs import DELIVERIES, deliveries_of
from apps.notifications.errors import AlreadyDelivered, Invalid, NotifierError, RequestIdReused
from apps.notifications.models import BULK_BELOW, Delivery, Event, Notification
from apps.notifications.models.statuses import WENT_OUT, Status
from apps.notifications.observability.metrics import ACCEPTED
from apps.notifications.queue import broker
from apps.notifications.queue.broker import Wake, publisher
from apps.notifications.transitions import eligibility, timeline
from apps.notifications.webhooks import events
from apps.templates.liquid import budget
from apps.templates.liquid.limits import TooSlow
from apps.templates.rendering.rendering import TOO_COSTLY
from apps.users.access.authentication import Caller
from apps.users.recipient_hashes import keyed_hash
from notifier.lib.database import storage
from notifier.lib.database.group_commit import GroupCommit
from notifier.lib.database.sql import insert

BATCH_TOO_EXPENSIVE = (
    "the items before this one took all the time there is for rendering; send it in another batch"
)
RACES = 3
"""How often storing is tried when another request keeps storing one of the same request_ids first."""


def body_hash(body: Any) -> str:
    """The keyed hash of a JSON value's SHA-256, whatever its spacing and the order of its keys.

    Keyed, since variables are stored encrypted: a plain hash of the body would let an attacker find a short code by
    trying all of them.
    """
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    plain = hashlib.sha256(canonical.encode()).hexdigest()
    return keyed_hash(plain.encode())


@dataclass(frozen=True, slots=True)
class Submission:
    """A request, and the hash of the body that it came in."""

    request: NotificationRequest
    body_hash: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a request has made, now or when its request_id was first used."""

    notification: Notification
    deliveries: list[Delivery]


def submit(*, caller: Caller, submission: Submission) -> Accepted:
    """Accept one request, in the caller's transaction if there is one. Without one it is accepted by group commit,
    with this caller's other requests that are in this process at that moment. Raises NotifierError."""
    if connection.in_atomic_block:
        (result,) = submit_all(caller=caller, submissions=[submission])
    else:
        result = _singles.submit((caller.organization.pk, caller.live, caller.name), (caller, submission))
    if isinstance(result, NotifierError):
        raise result
    return result


def _submit_singles(singles: Sequence[tuple[Caller, Submission]]) -> list[Accepted | NotifierError]:
    # All are of one caller; the newest request read the API key and the organization last.
    return submit_all(caller=singles[-1][0], submissions=[submission for _, submission in singles])


_singles = GroupCommit(_submit_singles, most=100)


def preview(*, caller: Caller, submission: Submission) -> Plan:
    """What would be decided and sent; stores nothing. Raises NotifierError."""
    known = gather(caller.organization, [submission.request], live=caller.live)
    return plan(caller=caller, request=submission.request, body_hash=submission.body_hash, known=known)


def preview_all(
    *, caller: Caller, submissions: Sequence[Submission]
) -> tuple[list[Accepted | NotifierError], dict[uuid.UUID, Plan]]:
    """As `preview` for several, with one CPU allowance for all: a result for each, and the plans of those that are
    new, by their notification's id."""
    known = gather(caller.organization, [one.request for one in submissions], live=caller.live)
    with budget.allowance(cpu=budget.BATCH_CPU, why=BATCH_TOO_EXPENSIVE):
        results, plans = _plan_all(caller, submissions, known)
    return results, {planned.notification.pk: planned for planned in plans}


def submit_all(*, caller: Caller, submissions: Sequence[Submission]) -> list[Accepted | NotifierError]:
    """Accept each request, or return the error that refuses it; one result a request, in order.

    A `request_id` that was used before, in this call or an earlier one, gets what it made then: AlreadyDelivered
    once something went out, else the notification as it is. Never a second send.
    """
    for race in range(RACES):
        known = gather(caller.organization, [one.request for one in submissions], live=caller.live)
        # A bound on the CPU time of one call, however many requests it has: other callers wait for this thread.
        with budget.allowance(cpu=budget.BATCH_CPU, why=BATCH_TOO_EXPENSIVE):
            results, plans = _plan_all(caller, submissions, known)
        try:
            _store(plans)
        except IntegrityError:
            # Another request with one of these request_ids was faster. The unique constraint failed because its row
            # is committed, so the next `gather` finds it.
            if race + 1 == RACES or not any(one.request.request_id for one in submissions):
                raise
            continue
        _announce(plans)
        return results
    raise AssertionError("unreachable")


def _announce(plans: Sequence[Plan]) -> None:
    """After the commit, count what was accepted and wake the workers that send it."""
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

    # An error here is only logged: the rows are stored, so the caller must not be told to retry, and the scheduler
    # publishes them.
    transaction.on_commit(announce, robust=True)


def _lanes(plans: Sequence[Plan]) -> Iterator[tuple[str, str]]:
    """(channel, lane) of each delivery that is to be sent."""
    for planned in plans:
        for row in planned.deliveries:
            if row.status == Status.QUEUED:
                yield str(row.channel), broker.lane_of(row.channel, row.priority)


def _plan_all(
    caller: Caller, submissions: Sequence[Submission], known: Lookups
) -> tuple[list[Accepted | NotifierError], list[Plan]]:
    results: list[Accepted | NotifierError] = []
    plans: list[Plan] = []
    here: dict[str, Accepted] = {}
    before = deliveries_of(known.earlier.values()) if known.earlier else {}
    # Once for all of them, so that a whole batch meets the same limit.
    organization = caller.organization.pk
    bulk = any(one.request.priority < BULK_BELOW for one in submissions)
    full_lanes = bulk and backpressure.gauge.is_full(organization)
    scheduled = any(one.request.scheduled_at for one in submissions)
    full_schedule = scheduled and backpressure.over_schedule(organization)
    for one in submissions:
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
                # A request that is refused before rendering costs CPU time, too.
                if len(submissions) > 1:
                    budget.check()
            except TooSlow as error:
                raise Invalid.at("variables", TOO_COSTLY, str(error.message)) from error
            planned = plan(caller=caller, request=one.request, body_hash=one.body_hash, known=known)
            # Only `preview` reads the rendered text: a batch's would stay in memory until all of it is stored.
            planned.rendered.clear()
            if full_lanes and one.request.priority < BULK_BELOW:
                raise backpressure.refusal()
            if full_schedule and one.request.scheduled_at is not None:
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
    """Store all rows or none. Where one statement stores everything, it needs no transaction."""
    deliveries = [row for planned in plans for row in planned.deliveries]
    closed = [row for row in deliveries if row.status != Status.QUEUED]
    alone = storage.on_postgresql() and not closed and not connection.in_atomic_block
    with nullcontext() if alone else transaction.atomic():
        if closed:
            events.announce([events.StatusChange(row, row.status, row.reason) for row in closed])
        insert(
            [planned.notification for planned in plans],
            *([row for row in deliveries if isinstance(row, model)] for model in DELIVERIES.values()),
            _timeline_entries(plans),
        )


def _timeline_entries(plans: Sequence[Plan]) -> list[Event]:
    """The first timeline entries of each notification, unsaved."""
    return [
        timeline.accepted(
            planned.notification,
            template=planned.version.template.code,
            version=planned.version.number,
            decisions=planned.decisions,
        )
        for planned in plans
    ] + [
        timeline.entry(row, timeline.DEFERRED, code=eligibility.QUIET_HOURS, until=row.due_at.isoformat())
        for planned in plans
        if planned.notification.scheduled_at is None
        for row in planned.deliveries
        if row.due_later
    ]
