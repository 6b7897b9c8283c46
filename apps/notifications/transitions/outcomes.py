"""Recording an attempt's outcome: the row, its timeline entry and, after a failure, its dead letter, in one
transaction."""

import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog
import uuid6
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from apps.notifications.channels.email.refusal_phrases import Meaning
from apps.notifications.channels.outcome import Feedback, Outcome, Result
from apps.notifications.models import FREE, Delivery, Event, from_now
from apps.notifications.models.statuses import Status
from apps.notifications.observability.metrics import RETRIES
from apps.notifications.transitions import dead_letters, receipts, retry_schedule, suppress, timeline
from apps.notifications.transitions.attempts import DeliveryAttempt
from apps.notifications.transitions.disabled_mailboxes import disabled_before
from apps.notifications.transitions.status_changes import SENDER_MOVES, change, movable_to
from apps.notifications.webhooks import events
from apps.templates.models import OnUnknown
from notifier.lib.database import storage
from notifier.lib.database.sql import run

log = structlog.get_logger(__name__)

DEFERRAL_SECONDS = 30.0
"""How long a message waits for a provider that could not be reached and gave no Retry-After."""

# The row and its timeline entry in one statement. `late`: the row was not `sending` any more.
_SENT = """
WITH given AS (
  SELECT *, statement_timestamp() - age * interval '1 second' AS at
  FROM jsonb_to_recordset(%(given)s::jsonb)
    AS given(id uuid, fence int, attempts int, provider text, message_id text, age float8, event uuid, data jsonb)
), moved AS (
  UPDATE {table} AS row
  SET status = %(sent)s, attempts = given.attempts, provider = given.provider,
      provider_message_id = given.message_id, error_code = '', error_detail = '',
      sent_at = given.at, lease_until = NULL,
      -- What others wrote about it meanwhile, a lease that ran out for example, comes before this.
      finished_at = CASE row.status WHEN %(sending)s THEN given.at ELSE statement_timestamp() END
  FROM given
  WHERE row.id = given.id AND row.fence = given.fence AND row.status = ANY(%(from)s)
  RETURNING row.id, row.notification_id, row.organization_id, row.finished_at, row.finished_at <> given.at AS late
), noted AS (
  INSERT INTO {events} (id, notification_id, delivery_id, channel, kind, at, data)
  SELECT given.event, moved.notification_id, moved.id, %(channel)s, %(kind)s, moved.finished_at, given.data
  FROM moved JOIN given USING (id)
)
SELECT moved.id, moved.late, EXISTS (
  SELECT FROM notifications_webhookendpoint AS endpoint
  WHERE endpoint.organization_id = moved.organization_id AND endpoint.enabled AND endpoint.url <> ''
) FROM moved
"""


_SENT_FROM = [str(status) for status in movable_to(Status.SENT, SENDER_MOVES)]
_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


def record_attempts(attempts: Sequence[DeliveryAttempt]) -> None:
    """Record the outcomes of these attempts, of one channel: what was sent in one statement, the others row by row.

    Rows that belong to another claim by now are left as they are. May be called again with the same attempts after a
    database error: what was recorded stays.
    """
    sent = [one for one in attempts if _result(one) is Result.SENT]
    others = [one for one in attempts if _result(one) is not Result.SENT]
    if sent:
        mark_sent(sent)
    for attempt, row in _rows_of(others):
        record(row, _outcome(attempt), provider=attempt.provider)
    for attempt, row in _rows_of([one for one in attempts if _outcome(one).feedback is not None]):
        row.provider = attempt.provider
        _apply_feedback(row, _outcome(attempt).feedback)


def _outcome(attempt: DeliveryAttempt) -> Outcome:
    assert attempt.outcome is not None  # noqa: S101 - it has ended
    return attempt.outcome


def _result(attempt: DeliveryAttempt) -> Result:
    return _outcome(attempt).result


def _rows_of(attempts: Sequence[DeliveryAttempt]) -> list[tuple[DeliveryAttempt, Delivery]]:
    """Each attempt with its current row; without those whose row is gone or has another claim's fence."""
    if not attempts:
        return []
    rows: Any = attempts[0].delivery.model.objects  # type: ignore[attr-defined]
    by_id = {row.pk: row for row in rows.filter(pk__in=[one.delivery.pk for one in attempts]).complete()}
    found = []
    for attempt in attempts:
        row = by_id.get(attempt.delivery.pk)
        if row is not None and row.fence != attempt.delivery.fence:
            log.warning("claim_lost", delivery_id=str(row.pk), wanted=_result(attempt))
        elif row is not None:
            row.attempts = attempt.delivery.attempts
            found.append((attempt, row))
    return found


@storage.operation
def mark_sent(attempts: Sequence[DeliveryAttempt]) -> None:
    """Record that these were sent, with their timeline entries."""
    model = attempts[0].delivery.model
    statement = _SENT.replace("{table}", connection.ops.quote_name(model._meta.db_table)).replace(
        "{events}", connection.ops.quote_name(Event._meta.db_table)
    )
    with transaction.atomic():
        values = {
            # Ages count until now: it may have taken time to get a connection.
            "given": _given(attempts, time.monotonic()),
            "from": _SENT_FROM,
            "sent": str(Status.SENT),
            "sending": str(Status.SENDING),
            "channel": str(model.channel),
            "kind": timeline.SENT,
        }
        moved = {pk: (late, endpoint) for pk, late, endpoint in run(statement, values)}
        if late := [pk for pk, (was_late, _) in moved.items() if was_late]:
            dead_letters.close_unknown(late)
        announced = [
            one.delivery.pk
            for one in attempts
            if one.delivery.pk in moved
            and (moved[one.delivery.pk][1] or one.delivery.announced or settings.EVENTS_EXCHANGE)
        ]
        if announced:
            _announce(model, announced)
    for one in attempts:
        if one.delivery.pk not in moved:
            log.warning("claim_lost", delivery_id=str(one.delivery.pk), wanted=Status.SENT.value)


@mark_sent.portable
def _mark_each_sent(attempts: Sequence[DeliveryAttempt]) -> None:
    for attempt, row in _rows_of(attempts):
        outcome = _outcome(attempt)
        with transaction.atomic():
            if _move(
                row,
                Status.SENT,
                attempts=row.attempts + 1,
                provider=attempt.provider,
                provider_message_id=outcome.provider_message_id[:255],
                error_code="",
                error_detail="",
                sent_at=Now(),
                finished_at=Now(),
                lease_until=None,
            ):
                timeline.note(row, timeline.SENT, **_entry(attempt))


def _given(attempts: Sequence[DeliveryAttempt], now: float) -> str:
    """One JSON document: an array for each column, with the entries in one of them, takes six times as long."""
    return _encode(
        [
            {
                "id": one.delivery.pk,
                "fence": one.delivery.fence,
                "attempts": one.delivery.attempts + 1,
                "provider": one.provider,
                "message_id": _outcome(one).provider_message_id[:255],
                # More than nothing, by which the statement knows an answer that came in time.
                "age": max(now - one.ended_at, 0.000_001),
                "event": uuid6.uuid7(),
                "data": timeline.data_of(one.delivery, **_entry(one)),
            }
            for one in attempts
        ]
    )


def _entry(attempt: DeliveryAttempt) -> dict[str, Any]:
    outcome = _outcome(attempt)
    return {
        "provider": attempt.provider,
        "attempt": attempt.delivery.attempts + 1,
        "detail": outcome.detail,
        "provider_message_id": outcome.provider_message_id,
    }


def _announce(model: type[Delivery], pks: list[Any]) -> None:
    rows: Any = model.objects.filter(pk__in=pks).select_related("notification")  # type: ignore[attr-defined]
    by_organization = defaultdict(list)
    for row in rows.defer("notification__variables", "notification__metadata"):
        by_organization[row.organization_id].append(events.StatusChange(row, Status.SENT))
    for changes in by_organization.values():
        events.announce(changes)


@transaction.atomic
def _apply_feedback(row: Delivery, feedback: Feedback | None) -> None:
    """Apply what the sandbox reports at once about a sent message; a real provider reports it later."""
    assert feedback is not None  # noqa: S101 - the caller has checked it
    receipts.apply(
        organization=row.organization,
        receipt=receipts.Receipt(
            channel=row.channel,
            status=Status(feedback.status),
            delivery_id=row.pk,
            detail=feedback.detail,
            permanent=feedback.permanent,
        ),
    )
    if feedback.complaint:
        receipts.complain(row, detail=feedback.detail, source=row.provider)


def record(row: Delivery, outcome: Outcome, *, provider: str) -> bool:
    """Record the outcome, other than a success, of the claim that `row` belongs to; False if the row belongs to
    another claim by now.

    An outcome is recorded even if the lease lapsed meanwhile and the row was called unknown or queued again, as long
    as it has not been claimed since.
    """
    row.provider = provider
    row.error_code, row.error_detail = outcome.code, outcome.detail
    with transaction.atomic():
        match outcome.result:
            case Result.RETRY if outcome.code == Meaning.DISABLED and disabled_before(row):
                return _end(row, replace(outcome, recipient_gone=True))
            case Result.RETRY:
                return _retry(row, outcome)
            case Result.DEFERRED:
                return _defer(row, outcome, DEFERRAL_SECONDS if outcome.wait is None else outcome.wait)
            case Result.CONFIGURATION:
                return _defer(row, outcome, settings.CONFIGURATION_PAUSE_SECONDS)
            case Result.PERMANENT:
                return _end(row, outcome)
            case Result.UNKNOWN:
                return unknown(row, outcome.code, outcome.detail, attempts=row.attempts + 1)
    raise ValueError("A success is recorded by `mark_sent`.")


def _end(row: Delivery, outcome: Outcome) -> bool:
    done = _fail(row, outcome, reason=outcome.code, attempts=row.attempts + 1)
    if done and outcome.recipient_gone:
        suppress.retire(row, reason=outcome.code, detail=outcome.detail)
    return done


def close(row: Delivery, status: Status, kind: str, *, reason: str) -> bool:
    """End a claimed row without a send: skipped or expired."""
    with transaction.atomic():
        done = _move(row, status, reason=reason, finished_at=Now(), lease_until=None)
        if done:
            timeline.note(row, kind, reason=reason)
        return done


def put_off(row: Delivery, until: datetime, *, code: str) -> bool:
    """Defer a claimed row to `until`: no attempt is used, and its deadline moves by as much."""
    deadline = row.deadline_at + (until - row.db_now)  # type: ignore[attr-defined]
    with transaction.atomic():
        done = _move(row, Status.QUEUED, due_at=until, deadline_at=deadline, **FREE)
        if done:
            timeline.note(row, timeline.DEFERRED, code=code, until=until.isoformat())
        return done


def unknown(
    row: Delivery, code: str, detail: str, *, attempts: int, lapsed: bool = False, resend_in: float = 0.0
) -> bool:
    """Record that it may have been sent. By the template's setting it is sent again (once) or waits for an operator.

    `lapsed`: only if the lease is still lapsed at the moment of the change. `resend_in`: seconds before it is sent
    again.
    """
    template = row.notification.template_version.template
    timing: dict[str, Any] = {"attempts": attempts, "error_code": code, "error_detail": detail}
    timing["provider"] = row.provider
    only = Q(status=Status.SENDING)
    if lapsed:
        only &= Q(lease_until__lt=Now())
    again = template.on_unknown == OnUnknown.RESEND and row.resends == 0
    if again:
        timing |= {"due_at": from_now(resend_in), "resends": row.resends + 1, **FREE}
    else:
        timing |= {"finished_at": Now(), "lease_until": None}
    if not _move(row, Status.QUEUED if again else Status.UNKNOWN, only=only, **timing):
        return False
    timeline.note(row, timeline.UNKNOWN, code=code, detail=detail, attempt=attempts, provider=row.provider)
    if again:
        timeline.note(row, timeline.RESEND, reason="The template's setting is to send again.")
    else:
        dead_letters.create(row, reason="unknown", code=code, detail=detail)
    return True


def time_out(row: Delivery) -> bool:
    """End a claimed row whose deadline passed before this attempt began."""
    last = Outcome(Result.PERMANENT, row.error_code or "timed_out", row.error_detail)
    with transaction.atomic():
        return _fail(row, last, reason="timed_out", attempts=row.attempts)


def _move(row: Delivery, to: Status, *, only: Q | None = None, **columns: Any) -> bool:
    """Change the row if this claim is still the last one; a dead letter with the reason unknown is closed with it."""
    rows: Any = type(row).objects  # type: ignore[attr-defined]
    if not change(rows.filter(only or Q(), pk=row.pk, fence=row.fence), to, SENDER_MOVES, **columns):
        log.warning("claim_lost", delivery_id=str(row.pk), wanted=to.value)
        return False
    if to is not Status.UNKNOWN:
        dead_letters.close_unknown([row.pk])
    if to in events.ANNOUNCED:
        reason, code = columns.get("reason", ""), columns.get("error_code", "")
        events.announce([events.StatusChange(row, to, reason, code)])
    return True


def _retry(row: Delivery, outcome: Outcome) -> bool:
    attempts = row.attempts + 1
    seconds = retry_schedule.wait(row.channel, attempts, floor=outcome.wait or 0.0)
    if seconds is None:
        return _fail(row, outcome, reason="retries_exhausted", attempts=attempts)
    return _wait(row, outcome, seconds, kind=timeline.RETRY, attempts=attempts)


def _defer(row: Delivery, outcome: Outcome, wait: float) -> bool:
    return _wait(row, outcome, retry_schedule.deferral(wait), kind=timeline.DEFERRED, attempts=row.attempts)


def _wait(row: Delivery, outcome: Outcome, wait: float, *, kind: str, attempts: int) -> bool:
    due = row.db_now + timedelta(seconds=wait)  # type: ignore[attr-defined]
    expires_at = row.notification.expires_at
    if expires_at is not None and due >= expires_at:
        return close(row, Status.EXPIRED, timeline.EXPIRED, reason=outcome.code)
    if due > row.deadline_at:
        return _fail(row, outcome, reason="timed_out", attempts=attempts)
    repeated = kind == timeline.DEFERRED and _noted_already(row)
    done = _move(
        row,
        Status.QUEUED,
        due_at=from_now(wait),
        attempts=attempts,
        provider=row.provider,
        error_code=row.error_code,
        error_detail=row.error_detail,
        **FREE,
    )
    if done and kind == timeline.RETRY:
        transaction.on_commit(RETRIES.labels(row.channel, outcome.code).inc)
    if done and not repeated:
        timeline.note(
            row,
            kind,
            provider=row.provider,
            code=outcome.code,
            detail=outcome.detail,
            attempt=attempts if kind == timeline.RETRY else None,
            wait_seconds=round(wait, 1),
        )
    return done


def _noted_already(row: Delivery) -> bool:
    """An open circuit may defer a row every minute for hours; the timeline has one entry for it."""
    stored = type(row).objects.filter(pk=row.pk).values_list("error_code", flat=True).first()
    return stored == row.error_code


def _fail(row: Delivery, outcome: Outcome, *, reason: str, attempts: int) -> bool:
    done = _move(
        row,
        Status.FAILED,
        reason=reason,
        attempts=attempts,
        provider=row.provider,
        error_code=outcome.code,
        error_detail=outcome.detail,
        finished_at=Now(),
        lease_until=None,
    )
    if done:
        timeline.note(
            row,
            timeline.FAILED,
            provider=row.provider,
            reason=reason,
            code=outcome.code,
            detail=outcome.detail,
            attempt=attempts,
        )
        dead_letters.create(row, reason=reason, code=outcome.code, detail=outcome.detail)
    return done
