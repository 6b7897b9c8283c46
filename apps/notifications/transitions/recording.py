"""Writing down what came of many rows: those that went out in one statement, every other end by itself."""

import json
import time
from collections import defaultdict
from typing import Any, NamedTuple

import structlog
import uuid6
from django.conf import settings
from django.db import connection, transaction

from apps.notifications.channels.outcome import Feedback, Outcome, Result
from apps.notifications.models import Delivery, Event
from apps.notifications.models.claimed import ClaimedDelivery
from apps.notifications.models.statuses import SENDER_MOVES, Status, movable_to
from apps.notifications.transitions import claims, outcomes, receipts, timeline
from apps.notifications.webhooks import events
from notifier.lib.database.sql import run

log = structlog.get_logger(__name__)

# The row and its line in the timeline, as one.
_SENT = """
WITH given AS (
  SELECT *, statement_timestamp() - age * interval '1 second' AS at
  FROM jsonb_to_recordset(%(given)s::jsonb)
    AS given(id uuid, fence int, attempts int, provider text, message_id text, age float8, event uuid, data jsonb)
), moved AS (
  UPDATE {table} AS row
  SET status = 'sent', attempts = given.attempts, provider = given.provider,
      provider_message_id = given.message_id, error_code = '', error_detail = '',
      sent_at = given.at, lease_until = NULL,
      -- What others wrote about it meanwhile, a lease that ran out for example, comes before this.
      finished_at = CASE row.status WHEN 'sending' THEN given.at ELSE statement_timestamp() END
  FROM given
  WHERE row.id = given.id AND row.fence = given.fence AND row.status = ANY(%(from)s)
  RETURNING row.id, row.notification_id, row.organization_id, row.finished_at
), noted AS (
  INSERT INTO {events} (id, notification_id, delivery_id, channel, kind, at, data)
  SELECT given.event, moved.notification_id, moved.id, %(channel)s, %(kind)s, moved.finished_at, given.data
  FROM moved JOIN given USING (id)
), closed AS (
  UPDATE notifications_deadletter AS letter
  SET state = 'discarded', closed_at = statement_timestamp(), closed_by = 'late answer'
  FROM moved
  WHERE letter.delivery_id = moved.id AND letter.reason = 'unknown' AND letter.state = 'open'
)
SELECT moved.id, EXISTS (
  SELECT FROM notifications_webhookendpoint AS endpoint
  WHERE endpoint.organization_id = moved.organization_id AND endpoint.enabled AND endpoint.url <> ''
) FROM moved
"""


_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


class Done(NamedTuple):
    """One row's end: what came of it, the account that it is of, and when that was known, by the monotonic clock: for
    a dead process's row when its journal was read."""

    delivery: ClaimedDelivery
    outcome: Outcome
    provider: str
    at: float


def record_all(done: list[Done]) -> None:
    """Write down what these claims came to; those that are no longer ours are left as they are.

    May be called again with the same after a fault: what was written stays.
    """
    sent = [one for one in done if one.outcome.result is Result.SENT]
    if connection.vendor == "postgresql" and sent:
        _record_sent(sent)
        others = [one for one in done if one.outcome.result is not Result.SENT or one.outcome.feedback]
    else:
        others = done
    if others:
        _record_each(others)


def _record_sent(sent: list[Done]) -> None:
    model = sent[0].delivery.model
    statement = _SENT.replace("{table}", connection.ops.quote_name(model._meta.db_table)).replace(
        "{events}", connection.ops.quote_name(Event._meta.db_table)
    )
    with transaction.atomic():
        values = {
            # From the moment of the statement; a connection may have had to be waited for.
            "given": _given(sent, time.monotonic()),
            "from": [str(status) for status in movable_to(Status.SENT, SENDER_MOVES)],
            "channel": str(model.channel),
            "kind": timeline.SENT,
        }
        moved: dict[Any, bool] = dict(run(statement, values))
        told = [
            one.delivery.pk
            for one in sent
            if one.delivery.pk in moved
            and (moved[one.delivery.pk] or one.delivery.announced or settings.EVENTS_EXCHANGE)
        ]
        if told:
            _announce(model, told)
    for one in sent:
        if one.delivery.pk not in moved:
            log.warning("claim_lost", delivery_id=str(one.delivery.pk), wanted=Status.SENT.value)


def _given(sent: list[Done], now: float) -> str:
    """One document: an array for each column, with the lines in one of them, costs six times as much to write."""
    return _encode(
        [
            {
                "id": one.delivery.pk,
                "fence": one.delivery.fence,
                "attempts": one.delivery.attempts + 1,
                "provider": one.provider,
                "message_id": one.outcome.provider_message_id[:255],
                "age": now - one.at,
                "event": uuid6.uuid7(),
                "data": _line(one),
            }
            for one in sent
        ]
    )


def _announce(model: type[Delivery], pks: list[Any]) -> None:
    rows: Any = model.objects.filter(pk__in=pks).select_related("notification")  # type: ignore[attr-defined]
    rows = rows.defer("notification__variables", "notification__metadata")
    announced = defaultdict(list)
    for row in rows:
        announced[row.organization_id].append(events.Move(row, Status.SENT))
    for moves in announced.values():
        events.announce(moves)


def _record_each(done: list[Done]) -> None:
    rows = done[0].delivery.model.objects.filter(pk__in=[one.delivery.pk for one in done])  # type: ignore[attr-defined]
    by_id = {row.pk: row for row in claims.complete(rows)}
    for delivery, outcome, provider, _ in done:
        row = by_id.get(delivery.pk)
        if row is None:
            continue
        if row.fence != delivery.fence:
            log.warning("claim_lost", delivery_id=str(row.pk), wanted=outcome.result)
            continue
        row.attempts = delivery.attempts
        if outcome.result is not Result.SENT or connection.vendor != "postgresql":
            outcomes.record(row, outcome, provider=provider)
        if outcome.feedback is not None:
            row.provider = provider
            _apply_feedback(row, outcome.feedback)


def _line(one: Done) -> dict[str, Any]:
    return timeline.told(
        one.delivery,
        provider=one.provider,
        attempt=one.delivery.attempts + 1,
        detail=one.outcome.detail,
        provider_message_id=one.outcome.provider_message_id,
    )


@transaction.atomic
def _apply_feedback(row: Delivery, said: Feedback) -> None:
    receipts.apply(
        organization=row.organization,
        receipt=receipts.Receipt(
            channel=row.channel,
            status=Status(said.status),
            delivery_id=row.pk,
            detail=said.detail,
            permanent=said.permanent,
        ),
    )
    if said.complaint:
        receipts.complain(row, detail=said.detail, source=row.provider)
