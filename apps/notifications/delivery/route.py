"""Which of a channel's accounts sends a message: the first whose circuit is closed and whose rate limit allows it.

The next one is tried where the error was the provider's own and the message was certainly not sent, never after an
unknown outcome.
"""

import time
from dataclasses import replace
from typing import Any, NamedTuple

import structlog
from django.db import connection

from apps.notifications.channels.outcome import Outcome, Result
from apps.notifications.models import BULK_BELOW
from apps.notifications.models.deliveries import ClaimedDelivery
from apps.notifications.observability.metrics import OUTCOMES, PROVIDER, series
from apps.notifications.routing import rate_limit
from apps.notifications.routing.accounts import Ready, accounts_for
from apps.notifications.routing.circuit_breaker import Permits
from apps.notifications.transitions import timeline
from apps.notifications.transitions.attempts import DeliveryAttempt
from apps.templates.authoring.redaction import redacted, secrets_in

log = structlog.get_logger(__name__)

THROTTLED = "throttled"
_NOT_SENT = (Result.DEFERRED, Result.CONFIGURATION, Result.RETRY)
"""Results after which the message was certainly not sent; the one that costs the delivery least comes first."""


class _Ended(NamedTuple):
    """The outcome of one account. `attempted`: its provider was called, not refused by the circuit or rate limit."""

    outcome: Outcome
    account: str
    attempted: bool

    @property
    def cost(self) -> tuple[int, float]:
        return _NOT_SENT.index(self.outcome.result), self.outcome.wait or 0.0


def route(attempt: DeliveryAttempt, permits: Permits) -> tuple[Outcome, str]:
    """Send the attempt's message through the accounts in failover order; the outcome, and the name of the account
    that it comes from."""
    delivery = attempt.delivery
    # Read first: once the send has begun, nothing may fail because the database is away.
    attempt.secrets = secrets_in(delivery.version_id, delivery.variables)
    failed: list[_Ended] = []
    accounts = accounts_for(delivery.channel, live=delivery.live)
    if len(accounts) > 1 and not _first_is_certain(accounts):
        attempt.pipelined_next = None
    for ready in accounts:
        # A failed account is noted before the next one is tried.
        _note(delivery, failed[-1:])
        ended = _send_through(ready, attempt, permits)
        if not _fails_over(ended):
            return ended.outcome, ended.account
        failed.append(ended)
        # It will most likely be sent by the first account.
        attempt.pipelined_next = None
    mildest = min(failed, key=lambda ended: ended.cost)
    if failed[-1] is not mildest:
        _note(delivery, failed[-1:])
    return mildest.outcome, mildest.account


def _first_is_certain(accounts: list[Ready]) -> bool:
    """Whether the next message goes to the same account: not where the choice is random."""
    orders = [one.account.order for one in accounts]
    return orders.count(min(orders)) == 1


def _fails_over(ended: _Ended) -> bool:
    return not ended.attempted or (ended.outcome.provider_error and ended.outcome.result in _NOT_SENT)


def _note(delivery: ClaimedDelivery, failed: list[_Ended]) -> None:
    for outcome, account, attempted in failed:
        if attempted:
            timeline.note(
                delivery, timeline.PASSED_ON, provider=account, code=outcome.code, detail=outcome.detail
            )
            OUTCOMES.labels(delivery.channel, account, timeline.PASSED_ON, outcome.code).inc()


def _send_through(ready: Ready, attempt: DeliveryAttempt, permits: Permits) -> _Ended:
    account = ready.account
    permit = permits.permit_for(account.name)
    if isinstance(permit, Outcome):
        return _Ended(permit, account.name, attempted=False)
    # Django keeps a connection until it is closed; the rate limit may take a second, a provider's reply minutes.
    if connection.connection is not None:
        connection.close()
    domain = attempt.delivery.recipient.rpartition("@")[2].lower()
    paced = rate_limit.refusal(account, domain, urgent=attempt.delivery.priority >= BULK_BELOW)
    outcome = paced or _send(ready, attempt)
    permits.record(account, permit, outcome)
    if outcome.code == THROTTLED:
        rate_limit.slow_down(account)
    return _Ended(outcome, account.name, attempted=paced is None)


def _send(ready: Ready, attempt: DeliveryAttempt) -> Outcome:
    begun_before, attempt.begun = attempt.begun, False
    # The types fit: a channel's accounts have its kind of provider, and its rows its kind of message.
    provider: Any = ready.provider
    pipelined_next = attempt.pipelined_next if ready.capabilities.pipelines else None
    options = {} if pipelined_next is None else {"pipelined_next": pipelined_next.message}
    began = time.monotonic()
    try:
        outcome = cleaned(provider.send(attempt.message, may_commit=attempt.may_commit, **options))
        detail = redacted(outcome.detail, attempt.secrets)
        return outcome if detail == outcome.detail else replace(outcome, detail=detail)
    except Exception:
        # A bug of ours. Before the point of no return another attempt is safe; after it the outcome is unknown.
        log.exception("provider_raised", provider=ready.account.name)
        result = Result.UNKNOWN if attempt.begun else Result.RETRY
        return Outcome(
            result, "internal_error", "The provider's code raised; see the log.", untried=not attempt.begun
        )
    finally:
        series(PROVIDER, ready.account.name).observe(time.monotonic() - began)
        attempt.begun = attempt.begun or begun_before


def cleaned(outcome: Outcome) -> Outcome:
    """The outcome without what PostgreSQL can't store of a reply: NUL, and lone surrogates (JSON may have them)."""
    detail, message_id = _storable(outcome.detail), _storable(outcome.provider_message_id)
    if detail == outcome.detail and message_id == outcome.provider_message_id:
        return outcome
    return replace(outcome, detail=detail, provider_message_id=message_id)


def _storable(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()
