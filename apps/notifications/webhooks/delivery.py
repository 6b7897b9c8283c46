"""How a claimed callback is delivered: sign, post, record. Webhooks are delivered at least once."""

import json
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from apps.notifications.models import (
    CALLBACKS,
    EXCHANGE,
    FREE,
    Callback,
    CallbackAttempt,
    WebhookEndpoint,
    from_now,
)
from apps.notifications.models.statuses import Status
from apps.notifications.observability.metrics import CALLBACK_ATTEMPTS
from apps.notifications.queue.broker import BrokerUnavailable
from apps.notifications.webhooks import client, endpoints, event_exchange, outcomes
from apps.notifications.webhooks.concurrency import concurrency_limits
from apps.notifications.webhooks.headers import headers_for
from apps.notifications.webhooks.leases import keeper
from notifier.lib.database.recovery import AWAY, forget_broken_connections

log = structlog.get_logger(__name__)

QUEUED_AGAIN: dict[str, Any] = {"status": Status.QUEUED, **FREE}
LOST = "sender_lost"
BROKER_PAUSE_SECONDS = 5
RECORD_RETRY_SECONDS = (0.5, 1, 2, 4)
"""The waits between attempts to record an outcome. What is unrecorded then is posted again when its lease lapses."""


def call_back(ids: list[str], *, stopping: threading.Event) -> None:
    """Post those of these rows that are due, one by one. Raises DatabaseError; then the row is freed when its lease
    lapses."""
    for position, pk in enumerate(ids):
        if stopping.is_set():
            # Unpublished, the rest goes to another worker with the scheduler's next pass.
            Callback.objects.unpublish(ids[position:])
            return
        claim_sent_at = time.monotonic()
        token = f"{keeper.worker}/{secrets.token_hex(4)}"
        row = _claim(pk, token)
        if row is not None:
            with keeper.hold(CALLBACKS, row.pk, row.fence, claimed_at=claim_sent_at):
                _call_back(row)


def _claim(pk: Any, token: str) -> Callback | None:
    """Claim the callback for `token`; None if it is not due, or is another worker's.

    The condition and the change are one statement, so only one of any number of workers gets it. `fence` grows with
    every claim: a former holder's writes no longer match the row.
    """
    rows: Any = Callback.objects
    claimed = rows.due().filter(pk=pk)
    if not claimed.update(
        status=Status.SENDING,
        fence=F("fence") + 1,
        lease_until=from_now(settings.LEASE_SECONDS),
        claimed_by=token,
    ):
        return None
    # By the token: after a stall between the statements the row may belong to another claim by now.
    found: Callback | None = (
        rows.select_related("notification", "organization").filter(pk=pk, claimed_by=token).first()
    )
    return found


def _call_back(row: Callback) -> None:
    if row.url == EXCHANGE:
        _publish(row)
        return
    endpoint, _ = WebhookEndpoint.objects.get_or_create(organization_id=row.organization_id)
    url = row.url or (endpoint.url if endpoint.enabled else "")
    if not url:
        _move(row, status=Status.CANCELLED, error_code="no_endpoint", finished_at=Now(), lease_until=None)
        return
    body = json.dumps(row.payload, separators=(",", ":")).encode()
    signed_by = endpoint.signing_secrets()
    # Django keeps a connection until it is closed, and a receiver may take long.
    connection.close()
    with concurrency_limits.take(str(row.organization_id), urlsplit(url).netloc) as retry_after:
        if retry_after:
            # No attempt is used: nothing was posted.
            _move(row, due_at=from_now(retry_after), **QUEUED_AGAIN)
            return
        headers = headers_for(
            message_id=str(row.pk), timestamp=int(time.time()), body=body, secrets=signed_by
        )
        answer = client.post(url, body, headers)
    _retry_until_recorded(row, lambda: record(row, url, answer))
    log.info(
        "callback_attempted",
        callback_id=str(row.pk),
        correlation_id=row.notification.correlation_id if row.notification else "",
        code=answer.code,
    )


def _publish(row: Callback) -> None:
    """Publish it to the events exchange. While the broker is away the row waits, without a limit of attempts."""
    connection.close()
    changes: dict[str, Any] = {
        "status": Status.DELIVERED,
        "attempts": F("attempts") + 1,
        "error_code": "",
        "finished_at": Now(),
        "lease_until": None,
    }
    try:
        event_exchange.publish(row)
    except BrokerUnavailable:
        changes = {
            "due_at": from_now(BROKER_PAUSE_SECONDS),
            "error_code": "broker_unavailable",
            **QUEUED_AGAIN,
        }
    _retry_until_recorded(row, lambda: _move(row, **changes))


def _retry_until_recorded(row: Callback, write: Callable[[], Any]) -> None:
    for wait in RECORD_RETRY_SECONDS:
        try:
            write()
            return
        except AWAY as error:
            log.error("callback_not_recorded", callback_id=str(row.pk), reason=str(error))
            forget_broken_connections()
            time.sleep(wait)


def record(row: Callback, url: str, answer: client.Answer) -> bool:
    """Record the result of the claim that `row` belongs to; False if the row belongs to another claim by now."""
    attempts = row.attempts + 1
    done = outcomes.taken(answer)
    wait = None if done else outcomes.wait(answer, attempts)
    changes: dict[str, Any] = {"attempts": attempts, "error_code": "" if done else answer.code}
    if wait is None:
        ended = Status.DELIVERED if done else Status.FAILED
        changes |= {"status": ended, "finished_at": Now(), "lease_until": None}
    else:
        changes |= {"due_at": from_now(wait), **QUEUED_AGAIN}
    with transaction.atomic():
        if not _move(row, **changes):
            return False
        _log(row, attempts, url, answer)
        if not row.url:
            endpoints.judge(row, url, answer, given_up=wait is None)
        return True


def free_lapsed(limit: int) -> int:
    """Queue the rows of dead senders again, with an attempt "may have arrived" in their log. Returns how many."""
    freed = 0
    lost = client.Answer(code=LOST, detail="It may have arrived.")
    for row in Callback.objects.lapsed().order_by("lease_until")[:limit]:
        attempts = row.attempts + 1
        # At once the first time; one that kills its sender again and again ends by the schedule, like any other.
        wait = 0.0 if attempts == 1 else outcomes.wait(lost, attempts)
        changes: dict[str, Any] = {"attempts": attempts, "error_code": LOST}
        if wait is None:
            changes |= {"status": Status.FAILED, "finished_at": Now(), "lease_until": None}
        else:
            changes |= {"due_at": from_now(wait), **QUEUED_AGAIN}
        with transaction.atomic():
            if _move(row, **changes):
                _log(row, attempts, row.url, lost)
                freed += 1
    return freed


def _move(row: Callback, **values: Any) -> bool:
    changed = Callback.objects.filter(pk=row.pk, fence=row.fence, status=Status.SENDING).update(**values)
    if not changed:
        log.warning("claim_lost", callback_id=str(row.pk), wanted=str(values.get("status")))
    return bool(changed)


def _log(row: Callback, number: int, url: str, answer: client.Answer) -> None:
    CallbackAttempt.objects.create(
        organization_id=row.organization_id,
        callback=row,
        number=number,
        url=url,
        http_status=answer.status,
        code=answer.code,
        detail=answer.detail[:500],
        milliseconds=round(answer.seconds * 1000),
    )
    # The receiver chooses the status: count its class, or there could be 900 series.
    result = answer.code if answer.status is None else f"http_{answer.status // 100}xx"
    counted = CALLBACK_ATTEMPTS.labels("taken" if outcomes.taken(answer) else result)
    transaction.on_commit(counted.inc)
