"""The way of claimed rows: policy again, render, provider, outcome.

No transaction and no database connection is held while the provider is waited for.
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
from apps.notifications.delivery import fair_claims
from apps.notifications.delivery.batch import Batch
from apps.notifications.delivery.fair_claims import Claim
from apps.notifications.delivery.journal import Segment, journal
from apps.notifications.delivery.render import render
from apps.notifications.delivery.route import route
from apps.notifications.delivery.send_slots import send_slots
from apps.notifications.delivery.stopping import retry_until_recorded, stopping
from apps.notifications.models import DELIVERIES, Delivery
from apps.notifications.models.claimed import ClaimedDelivery
from apps.notifications.observability import metrics
from apps.notifications.observability.metrics import series
from apps.notifications.queue import topology
from apps.notifications.transitions import claims, outcomes
from apps.notifications.transitions.recheck import recheck_eligibility
from apps.notifications.transitions.recording import Done
from apps.templates.rendering.rendering import RenderError
from notifier.lib.database.recovery import AWAY

log = structlog.get_logger(__name__)


def deliver(channel: str, ids: list[str], *, bulk: bool = False) -> None:
    """Send what is due of these rows, and with them others of their lane that wait (see `claims.take`).

    While the database is away nothing can be sent, and the slot waits for it. Raises one of `AWAY` only in a
    process that is asked to end meanwhile.
    """
    with send_slots.taken():
        _deliver(channel, ids, bulk=bulk)
    come_back()


def come_back() -> None:
    """Send what was passed over, of organizations that have places again, in threads that are free."""
    while not stopping.is_set() and (found := send_slots.next_passed_over()) is not None:
        channel, organization = found
        if not send_slots.try_submit(partial(_come_back_to, channel, organization)):
            send_slots.pass_over(channel, [organization])
            return


def _come_back_to(channel: str, organization: Any) -> None:
    try:
        _deliver(channel, [], of=organization)
    except Exception:
        # Nobody waits for this thread's end: the log is where it is seen. The tick finds the rows.
        log.exception("passed_over_failed", channel=channel)


def _deliver(channel: str, ids: list[str], *, bulk: bool = False, of: Any = None) -> None:
    """In a thread that has a slot."""
    model = DELIVERIES[channel]
    if stopping.is_set():
        model.objects.unpublish(ids)
        return
    began = time.monotonic()
    try:
        segment = journal.open()
    except OSError as error:
        # Without it nothing may be begun: the rows wait, and the tick comes back to them.
        log.error("journal_unusable", folder=str(settings.JOURNAL_DIR), reason=str(error))
        model.objects.unpublish(ids)
        return
    batch = _claim_batch(model, ids, segment, began, bulk=bulk, of=of)
    if batch is None:
        journal.close(segment)
        return
    batch.work()
    structlog.contextvars.unbind_contextvars("correlation_id", "notification_id", "delivery_id")
    if batch.size > 1:
        seconds = round(time.monotonic() - began, 3)
        log.info("chunk_delivered", channel=channel, rows=batch.size, seconds=seconds)


def _claim_batch(
    model: type[Delivery], ids: list[str], segment: Segment, began: float, *, bulk: bool, of: Any
) -> Batch | None:
    """What there is to send; None for nothing."""
    token = f"{segment.name}/{secrets.token_hex(4)}"
    try:
        claimed = fair_claims.take(model, ids, token=token, bulk=bulk, of=of)
        deliveries = claimed.plain
        if claimed.others:
            rows, unreadable = claims.load(model, claimed.others, token)
            claimed.unreadable.extend(unreadable)
            deliveries += [ClaimedDelivery.of(row) for row in recheck_eligibility(rows)]
        claims.release_unreadable(model, claimed.unreadable, token)
    except AWAY as error:
        log.warning("database_unavailable", reason=str(error))
        retry_until_recorded("rows_not_released", lambda: claims.release_all(model, ids, token))
        return None
    finally:
        # Django keeps a connection until it is closed, and a provider's answer may be minutes away.
        connection.close()
    if not deliveries:
        return None
    # First come, first served: ids are by time.
    deliveries.sort(key=attrgetter("pk"))
    expires = began + settings.JOURNALLED_LEASE_SECONDS
    return Batch(
        model,
        deliveries,
        token=token,
        segment=segment,
        expires=expires,
        send=_send,
        bulk=bulk,
        ended=come_back,
    )


def _send(batch: Batch, claim: Claim, pipelined_next: Claim | None) -> Done | None:
    """What came of one row; None where the database went away before anything was begun. `following`: the row that
    this hand turns to next, unless another one is quicker."""
    delivery = claim.delivery
    # The thread's next row binds its own, and its next task begins without any.
    structlog.contextvars.bind_contextvars(
        correlation_id=delivery.correlation_id,
        notification_id=str(delivery.notification_id),
        delivery_id=str(delivery.pk),
    )
    try:
        return _attempt(batch, claim, pipelined_next)
    except AWAY as error:
        log.warning("database_unavailable", reason=str(error))
        retry_until_recorded(
            "row_not_released", lambda: outcomes.release(batch.model, str(delivery.pk), batch.token)
        )
        return None


def _attempt(batch: Batch, claim: Claim, pipelined_next: Claim | None) -> Done:
    delivery, provider = claim.delivery, ""
    try:
        message = claim.message or render(delivery)
    except RenderError as error:
        outcome = Outcome(Result.PERMANENT, "render_failed", f"{error.field}: {error}"[:500])
    else:
        outcome, provider = route(claim, message, batch.permits, _pipelined_next(claim, pipelined_next))
        if claim.begun:
            claim.segment.answer(delivery.pk, delivery.fence, outcome, provider)
    if batch.size == 1 or outcome.result is not Result.SENT:
        # A chunk's have one line together, and each its line in the timeline.
        log.info(
            "delivery_attempted",
            channel=delivery.channel,
            outcome=outcome.result,
            code=outcome.code,
            provider=provider,
        )
    ended = time.monotonic()
    _count(delivery, outcome, provider, ended - batch.began)
    return Done(delivery, outcome, provider, ended)


def _pipelined_next(claim: Claim, pipelined_next: Claim | None) -> Message | None:
    """The next row's message, where it goes the same way."""
    if pipelined_next is None or pipelined_next.delivery.live != claim.delivery.live:
        return None
    try:
        pipelined_next.message = render(pipelined_next.delivery)
    except RenderError:
        # Said when it is that row's turn.
        return None
    return pipelined_next.message


def _count(delivery: ClaimedDelivery, outcome: Outcome, provider: str, seconds: float) -> None:
    series(metrics.OUTCOMES, delivery.channel, provider, outcome.result, outcome.code).inc()
    # A replayed one waited for an operator.
    if outcome.result is Result.SENT and delivery.epoch == 0:
        lane = topology.lane(delivery.channel, delivery.priority)
        series(metrics.UNTIL_SENT, delivery.channel, lane).observe(delivery.waited + seconds)
