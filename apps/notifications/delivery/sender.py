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
from apps.notifications.delivery.batch import Chunk
from apps.notifications.delivery.fair_claims import Claim
from apps.notifications.delivery.journal import Segment, journal
from apps.notifications.delivery.render import compose
from apps.notifications.delivery.route import dispatch
from apps.notifications.delivery.send_slots import wires
from apps.notifications.delivery.stopping import insist, stopping
from apps.notifications.models import DELIVERIES, Delivery
from apps.notifications.models.claimed import Parcel
from apps.notifications.observability import metrics
from apps.notifications.observability.metrics import series
from apps.notifications.queue import topology
from apps.notifications.transitions import claims, outcomes
from apps.notifications.transitions.recheck import still_to_send
from apps.notifications.transitions.recording import Done
from apps.templates.rendering.rendering import RenderError
from notifier.lib.database.recovery import AWAY

log = structlog.get_logger(__name__)


def deliver(channel: str, ids: list[str], *, bulk: bool = False) -> None:
    """Send what is due of these rows, and with them others of their lane that wait (see `claims.take`).

    While the database is away nothing can be sent, and the slot waits for it. Raises one of `AWAY` only in a
    process that is asked to end meanwhile.
    """
    with wires.taken():
        _deliver(channel, ids, bulk=bulk)
    come_back()


def come_back() -> None:
    """Send what was passed over, of organizations that have places again, in threads that are free."""
    while not stopping.is_set() and (found := wires.next_passed_over()) is not None:
        channel, organization = found
        if not wires.lend(partial(_come_back_to, channel, organization)):
            wires.pass_over(channel, [organization])
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
    except OSError as fault:
        # Without it nothing may be begun: the rows wait, and the tick comes back to them.
        log.error("journal_unusable", folder=str(settings.JOURNAL_DIR), reason=str(fault))
        model.objects.unpublish(ids)
        return
    chunk = _chunk(model, ids, segment, began, bulk=bulk, of=of)
    if chunk is None:
        journal.close(segment)
        return
    chunk.work()
    structlog.contextvars.unbind_contextvars("correlation_id", "notification_id", "delivery_id")
    if chunk.size > 1:
        seconds = round(time.monotonic() - began, 3)
        log.info("chunk_delivered", channel=channel, rows=chunk.size, seconds=seconds)


def _chunk(
    model: type[Delivery], ids: list[str], segment: Segment, began: float, *, bulk: bool, of: Any
) -> Chunk | None:
    """What there is to send; None for nothing."""
    token = f"{segment.name}/{secrets.token_hex(4)}"
    try:
        claimed = fair_claims.take(model, ids, token=token, bulk=bulk, of=of)
        parcels = claimed.plain
        if claimed.others:
            rows, unreadable = claims.load(model, claimed.others, token)
            claimed.unreadable.extend(unreadable)
            parcels += [Parcel.of(row) for row in still_to_send(rows)]
        claims.release_unreadable(model, claimed.unreadable, token)
    except AWAY as fault:
        log.warning("database_unavailable", reason=str(fault))
        insist("rows_not_released", lambda: claims.release_all(model, ids, token))
        return None
    finally:
        # Django keeps a connection until it is closed, and a provider's answer may be minutes away.
        connection.close()
    if not parcels:
        return None
    # First come, first served: ids are by time.
    parcels.sort(key=attrgetter("pk"))
    expires = began + settings.JOURNALLED_LEASE_SECONDS
    return Chunk(
        model, parcels, token=token, segment=segment, expires=expires, send=_send, bulk=bulk, ended=come_back
    )


def _send(chunk: Chunk, claim: Claim, following: Claim | None) -> Done | None:
    """What came of one row; None where the database went away before anything was begun. `following`: the row that
    this hand turns to next, unless another one is quicker."""
    parcel = claim.parcel
    # The thread's next row binds its own, and its next task begins without any.
    structlog.contextvars.bind_contextvars(
        correlation_id=parcel.correlation_id,
        notification_id=str(parcel.notification_id),
        delivery_id=str(parcel.pk),
    )
    try:
        return _attempt(chunk, claim, following)
    except AWAY as fault:
        log.warning("database_unavailable", reason=str(fault))
        insist("row_not_released", lambda: outcomes.release(chunk.model, str(parcel.pk), chunk.token))
        return None


def _attempt(chunk: Chunk, claim: Claim, following: Claim | None) -> Done:
    parcel, provider = claim.parcel, ""
    try:
        message = claim.message or compose(parcel)
    except RenderError as fault:
        outcome = Outcome(Result.PERMANENT, "render_failed", f"{fault.field}: {fault}"[:500])
    else:
        outcome, provider = dispatch(claim, message, chunk.permits, _ahead(claim, following))
        if claim.begun:
            claim.segment.answer(parcel.pk, parcel.fence, outcome, provider)
    if chunk.size == 1 or outcome.result is not Result.SENT:
        # A chunk's have one line together, and each its line in the timeline.
        log.info(
            "delivery_attempted",
            channel=parcel.channel,
            outcome=outcome.result,
            code=outcome.code,
            provider=provider,
        )
    ended = time.monotonic()
    _count(parcel, outcome, provider, ended - chunk.began)
    return Done(parcel, outcome, provider, ended)


def _ahead(claim: Claim, following: Claim | None) -> Message | None:
    """The next row's message, where it goes the same way."""
    if following is None or following.parcel.live != claim.parcel.live:
        return None
    try:
        following.message = compose(following.parcel)
    except RenderError:
        # Said when it is that row's turn.
        return None
    return following.message


def _count(parcel: Parcel, outcome: Outcome, provider: str, seconds: float) -> None:
    series(metrics.OUTCOMES, parcel.channel, provider, outcome.result, outcome.code).inc()
    # A replayed one waited for an operator.
    if outcome.result is Result.SENT and parcel.epoch == 0:
        lane = topology.lane(parcel.channel, parcel.priority)
        series(metrics.UNTIL_SENT, parcel.channel, lane).observe(parcel.waited + seconds)
