"""How a worker sends claimed rows: recheck eligibility, render, route to a provider, record.

No transaction and no database connection is held while a provider is waited for.
"""

import secrets
import time
from functools import partial
from operator import attrgetter
from typing import Any

import structlog
from django.conf import settings
from django.db import connection

from apps.notifications.channels.outcome import Message, Outcome, Result
from apps.notifications.delivery.batch import Batch
from apps.notifications.delivery.fair_claims import claim_due
from apps.notifications.delivery.journal import Segment
from apps.notifications.delivery.render import render
from apps.notifications.delivery.route import route
from apps.notifications.delivery.runtime import runtime
from apps.notifications.models import DELIVERIES, Delivery
from apps.notifications.models.claimed import ClaimedDelivery
from apps.notifications.observability import metrics
from apps.notifications.observability.metrics import series
from apps.notifications.queue import topology
from apps.notifications.transitions import claims
from apps.notifications.transitions.attempts import DeliveryAttempt
from apps.notifications.transitions.eligibility import recheck_eligibility
from apps.templates.rendering.rendering import RenderError
from notifier.lib.database.recovery import AWAY

log = structlog.get_logger(__name__)


def deliver(channel: str, ids: list[str], *, bulk: bool = False) -> None:
    """Send those of these rows that are due, and others of their lane that wait (`fair_claims.claim_due`).

    While the database is away nothing can be sent, and the slot waits for it. Raises one of `AWAY` only in a process
    that is to end meanwhile.
    """
    with runtime.slots.taken():
        _deliver(channel, ids, bulk=bulk)
    send_passed_over()


def send_passed_over() -> None:
    """Send rows that were passed over, of organizations that have slots again, in free sender threads."""
    while not runtime.stopping.is_set() and (found := runtime.slots.next_passed_over()) is not None:
        channel, organization = found
        if not runtime.slots.try_submit(partial(_deliver_of, channel, organization)):
            runtime.slots.pass_over(channel, [organization])
            return


def _deliver_of(channel: str, organization: Any) -> None:
    try:
        _deliver(channel, [], organization=organization)
    except Exception:
        # No caller waits for this thread: only the log shows the error. The scheduler finds the rows.
        log.exception("passed_over_failed", channel=channel)


def _deliver(channel: str, ids: list[str], *, bulk: bool = False, organization: Any = None) -> None:
    """Call in a thread that has a slot."""
    model = DELIVERIES[channel]
    if runtime.stopping.is_set():
        model.objects.unpublish(ids)
        return
    began = time.monotonic()
    try:
        segment = runtime.journal.open()
    except OSError as error:
        # Without a journal no send may begin: the rows wait, and the scheduler publishes them again.
        log.error("journal_unusable", folder=str(settings.JOURNAL_DIR), reason=str(error))
        model.objects.unpublish(ids)
        return
    batch = _claim_batch(model, ids, segment, began, bulk=bulk, organization=organization)
    if batch is None:
        runtime.journal.close(segment)
        return
    batch.work()
    structlog.contextvars.unbind_contextvars("correlation_id", "notification_id", "delivery_id")
    if batch.size > 1:
        seconds = round(time.monotonic() - began, 3)
        log.info("batch_delivered", channel=channel, rows=batch.size, seconds=seconds)


def _claim_batch(
    model: type[Delivery], ids: list[str], segment: Segment, began: float, *, bulk: bool, organization: Any
) -> Batch | None:
    """A batch of the rows that may be sent; None if there are none."""
    token = f"{segment.name}/{secrets.token_hex(4)}"
    try:
        claimed = claim_due(
            model,
            ids,
            token=token,
            bulk=bulk,
            slots=runtime.slots,
            round_robin=runtime.bulk_round_robin,
            organization=organization,
        )
        deliveries = claimed.plain
        if claimed.to_recheck:
            rows, unreadable = claims.load(model, claimed.to_recheck, token)
            claimed.unreadable.extend(unreadable)
            deliveries += [ClaimedDelivery.of(row) for row in recheck_eligibility(rows)]
        claims.give_back_unreadable(model, token, claimed.unreadable)
    except AWAY as error:
        log.warning("database_unavailable", reason=str(error))
        runtime.retry_until_recorded("rows_not_released", lambda: _give_up(model, ids, token))
        return None
    finally:
        # Django keeps a connection until it is closed, and a provider's reply may take minutes.
        connection.close()
    if not deliveries:
        return None
    # Oldest first: ids are ordered by time.
    deliveries.sort(key=attrgetter("pk"))
    return Batch(
        runtime,
        model,
        deliveries,
        token=token,
        segment=segment,
        expires=began + settings.JOURNALLED_LEASE_SECONDS,
        send=_send,
        bulk=bulk,
        ended=send_passed_over,
    )


def _give_up(model: type[Delivery], ids: list[str], token: str) -> None:
    """After a failed claim, committed or not: its rows, and those that the message named, wait again."""
    claims.give_back(model, token)
    model.objects.unpublish(ids)  # type: ignore[attr-defined]


def _send(
    batch: Batch, attempt: DeliveryAttempt, pipelined_next: DeliveryAttempt | None
) -> DeliveryAttempt | None:
    """Make the attempt and return it once it has ended; None if the database went away before the send began."""
    delivery = attempt.delivery
    # Rebound for the thread's next row, and unbound before its next task.
    structlog.contextvars.bind_contextvars(
        correlation_id=delivery.correlation_id,
        notification_id=str(delivery.notification_id),
        delivery_id=str(delivery.pk),
    )
    try:
        return _attempt(batch, attempt, pipelined_next)
    except AWAY as error:
        log.warning("database_unavailable", reason=str(error))
        runtime.retry_until_recorded(
            "row_not_released", lambda: claims.give_back(batch.model, batch.token, [delivery.pk])
        )
        return None


def _attempt(
    batch: Batch, attempt: DeliveryAttempt, pipelined_next: DeliveryAttempt | None
) -> DeliveryAttempt:
    delivery, provider = attempt.delivery, ""
    try:
        attempt.message = attempt.message or render(delivery)
    except RenderError as error:
        outcome = Outcome(Result.PERMANENT, "render_failed", f"{error.field}: {error}"[:500])
    else:
        outcome, provider = route(attempt, batch.permits, _next_message(attempt, pipelined_next))
    attempt.ended(outcome, provider)
    if attempt.begun:
        batch.segment.answer(delivery.pk, delivery.fence, outcome, provider)
    if batch.size == 1 or outcome.result is not Result.SENT:
        # The successes of a batch share one log line; each has its timeline entry.
        log.info(
            "delivery_attempted",
            channel=delivery.channel,
            outcome=outcome.result,
            code=outcome.code,
            provider=provider,
        )
    _count(attempt, outcome, attempt.ended_at - batch.began)
    return attempt


def _next_message(attempt: DeliveryAttempt, pipelined_next: DeliveryAttempt | None) -> Message | None:
    """The next row's message, if it goes to the same accounts."""
    if pipelined_next is None or pipelined_next.delivery.live != attempt.delivery.live:
        return None
    try:
        pipelined_next.message = render(pipelined_next.delivery)
    except RenderError:
        # Recorded when that row is sent.
        return None
    return pipelined_next.message


def _count(attempt: DeliveryAttempt, outcome: Outcome, seconds: float) -> None:
    delivery = attempt.delivery
    series(metrics.OUTCOMES, delivery.channel, attempt.provider, outcome.result, outcome.code).inc()
    # The time of a replayed delivery includes the wait for an operator.
    if outcome.result is Result.SENT and delivery.epoch == 0:
        lane = topology.lane(delivery.channel, delivery.priority)
        series(metrics.UNTIL_SENT, delivery.channel, lane).observe(delivery.waited + seconds)
