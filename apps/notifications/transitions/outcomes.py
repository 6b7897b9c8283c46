"""What an outcome makes of a delivery: the row, its timeline and, at a bad end, its dead letter, as one."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from apps.notifications.channels.email.refusal_phrases import Meaning
from apps.notifications.channels.outcome import Outcome, Result
from apps.notifications.models import DeadLetter, Delivery, from_now
from apps.notifications.models.statuses import SENDER_MOVES, Status, movable_to
from apps.notifications.observability.metrics import RETRIES
from apps.notifications.queue.publisher import publisher
from apps.notifications.transitions import suppress, timeline
from apps.notifications.transitions.disabled_mailboxes import disabled_before
from apps.notifications.transitions.retry_schedule import deferral, policy_for
from apps.notifications.webhooks import events
from apps.templates.models import OnUnknown

log = structlog.get_logger(__name__)

DEFERRAL_SECONDS = 30.0
"""How long a message waits for a provider that could not be reached and named no time."""
FREE: dict[str, Any] = {"lease_until": None, "published_at": None}
"""A row that waits again: nobody's, and unpublished, so that the tick wakes somebody when it is due."""


def record(row: Delivery, outcome: Outcome, *, provider: str) -> bool:
    """Write down what came of the claim that `row` stands for; False when the row was no longer ours.

    What a sender knows is recorded even if its lease ran out meanwhile and the row was called unknown or
    queued again, as long as nobody has claimed it since.
    """
    row.provider = provider
    row.error_code = "" if outcome.result is Result.SENT else outcome.code
    row.error_detail = "" if outcome.result is Result.SENT else outcome.detail
    with transaction.atomic():
        match outcome.result:
            case Result.SENT:
                return _sent(row, outcome)
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
    """Let a claimed row wait by nobody's fault: no attempt is used, and its deadline moves along."""
    deadline = row.deadline_at + (until - row.db_now)  # type: ignore[attr-defined]
    with transaction.atomic():
        done = _move(row, Status.QUEUED, due_at=until, deadline_at=deadline, **FREE)
        if done:
            timeline.note(row, timeline.DEFERRED, code=code, until=until.isoformat())
        return done


def unknown(
    row: Delivery, code: str, detail: str, *, attempts: int, lapsed: bool = False, resend_in: float = 0.0
) -> bool:
    """It may have been sent. The template says whether it goes again (once) or waits for an operator.

    `lapsed`: only if the lease has run out still, in the moment of the change. `resend_in`: seconds before it
    goes again.
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
        timeline.note(row, timeline.RESEND, reason="The template says it must arrive.")
    else:
        create_dead_letter(row, reason="unknown", code=code, detail=detail)
    return True


def release(model: type[Delivery], pk: str, token: str, *, error: str = "") -> None:
    """Give back a row whose claim with this token came to nothing: no send was begun.

    The claim itself may have failed or not; either way the row must be found by the next sweep. `fault`: why the
    row can't even be read, which an operator has to mend first.
    """
    wait: dict[str, Any] = {"due_at": Now()}
    if error:
        wait = {
            "due_at": from_now(settings.CONFIGURATION_PAUSE_SECONDS),
            "error_code": "undecryptable",
            "error_detail": error,
        }
    rows: Any = model.objects  # type: ignore[attr-defined]
    with transaction.atomic():
        released = rows.filter(
            pk=pk, claimed_by=token, status__in=movable_to(Status.QUEUED, SENDER_MOVES)
        ).update(status=Status.QUEUED, finished_at=None, fence=F("fence") + 1, **wait, **FREE)
        if released:
            close_unknown([pk])
        else:
            rows.unpublish([pk])


def time_out(row: Delivery) -> bool:
    """End a claimed row whose deadline passed before this attempt began."""
    last = Outcome(Result.PERMANENT, row.error_code or "timed_out", row.error_detail)
    with transaction.atomic():
        return _fail(row, last, reason="timed_out", attempts=row.attempts)


def _move(row: Delivery, to: Status, *, only: Q | None = None, **values: Any) -> bool:
    """Change the row if this claim is still the last one; a letter that called it unknown is closed with it."""
    changed = (
        type(row)
        .objects.filter(only or Q(), pk=row.pk, fence=row.fence, status__in=movable_to(to, SENDER_MOVES))
        .update(status=to, **values)
    )
    if not changed:
        log.warning("claim_lost", delivery_id=str(row.pk), wanted=to.value)
        return False
    if to is not Status.UNKNOWN:
        close_unknown([row.pk])
    if to in events.ANNOUNCED:
        events.announce([events.Move(row, to, values.get("reason", ""), values.get("error_code", ""))])
    return True


def close_unknown(pks: Iterable[Any]) -> None:
    """Close the letters that called these deliveries unknown: what became of them is known now."""
    dead_letters = DeadLetter.objects.filter(
        delivery_id__in=list(pks), reason="unknown", state=DeadLetter.State.OPEN
    )
    dead_letters.update(state=DeadLetter.State.DISCARDED, closed_at=Now(), closed_by="late answer")


def _sent(row: Delivery, outcome: Outcome) -> bool:
    done = _move(
        row,
        Status.SENT,
        attempts=row.attempts + 1,
        provider=row.provider,
        provider_message_id=outcome.provider_message_id[:255],
        error_code="",
        error_detail="",
        sent_at=Now(),
        finished_at=Now(),
        lease_until=None,
    )
    if done:
        timeline.note(
            row,
            timeline.SENT,
            provider=row.provider,
            attempt=row.attempts + 1,
            detail=outcome.detail,
            provider_message_id=outcome.provider_message_id,
        )
    return done


def _retry(row: Delivery, outcome: Outcome) -> bool:
    attempts = row.attempts + 1
    wait = policy_for(row.channel).wait(attempts, floor=outcome.wait or 0.0)
    if wait is None:
        return _fail(row, outcome, reason="retries_exhausted", attempts=attempts)
    return _wait(row, outcome, wait, kind=timeline.RETRY, attempts=attempts)


def _defer(row: Delivery, outcome: Outcome, wait: float) -> bool:
    return _wait(row, outcome, deferral(wait), kind=timeline.DEFERRED, attempts=row.attempts)


def _wait(row: Delivery, outcome: Outcome, wait: float, *, kind: str, attempts: int) -> bool:
    due = row.db_now + timedelta(seconds=wait)  # type: ignore[attr-defined]
    expires_at = row.notification.expires_at
    if expires_at is not None and due >= expires_at:
        return close(row, Status.EXPIRED, timeline.EXPIRED, reason=outcome.code)
    if due > row.deadline_at:
        return _fail(row, outcome, reason="timed_out", attempts=attempts)
    repeated = kind == timeline.DEFERRED and _told_already(row)
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


def _told_already(row: Delivery) -> bool:
    """A provider that rests for hours defers a row every minute; the timeline says so once."""
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
        create_dead_letter(row, reason=reason, code=outcome.code, detail=outcome.detail)
    return done


def create_dead_letter(row: Delivery, *, reason: str, code: str, detail: str) -> None:
    # A letter of this failure may be there: closed by a late answer that was followed by another such end.
    dead_letter, _ = DeadLetter.objects.update_or_create(
        delivery_id=row.pk,
        epoch=row.epoch,
        reason=reason,
        defaults={
            "organization_id": row.organization_id,
            "notification_id": row.notification_id,
            "channel": row.channel,
            "code": code,
            "detail": detail,
            "state": DeadLetter.State.OPEN,
            "closed_at": None,
            "closed_by": "",
        },
    )
    copy = {
        "v": 1,
        "dead_letter_id": str(dead_letter.pk),
        "delivery_id": str(row.pk),
        "notification_id": str(row.notification_id),
        "channel": str(row.channel),
        "reason": reason,
        "code": code,
    }
    transaction.on_commit(lambda: publisher.publish_dead_letter(copy))
