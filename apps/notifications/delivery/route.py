"""Which of a channel's accounts takes a message: the first whose circuit is closed and whose rate limit lets it.

The next one is tried where the error was the provider's own and the message is certainly not on its way, never after
an unknown outcome.
"""

import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import structlog
from django.db import connection

from apps.notifications.channels.outcome import Message, Outcome, Result
from apps.notifications.models import BULK_BELOW
from apps.notifications.models.claimed import ClaimedDelivery
from apps.notifications.observability.metrics import OUTCOMES, PROVIDER, series
from apps.notifications.routing import rate_limit
from apps.notifications.routing.circuit_breaker import Permits
from apps.notifications.routing.registry import Ready, accounts_for
from apps.notifications.transitions import timeline
from apps.notifications.transitions.attempts import DeliveryAttempt
from apps.templates.authoring.redaction import redacted, secrets_in

log = structlog.get_logger(__name__)

THROTTLED = "throttled"
_MILDEST = (Result.DEFERRED, Result.CONFIGURATION, Result.RETRY)
"""Ends after which the message is certainly not on its way, the one that costs it least first."""


class _Ended(NamedTuple):
    """What came of one account. `asked`: the provider was, and not only its circuit or its rate limit."""

    outcome: Outcome
    account: str
    asked: bool

    @property
    def cost(self) -> tuple[int, float]:
        return _MILDEST.index(self.outcome.result), self.outcome.wait or 0.0


def route(
    attempt: DeliveryAttempt, permits: Permits, pipelined_next: Message | None = None
) -> tuple[Outcome, str]:
    """Send the attempt's message through the accounts in their order; the outcome, and the name of the account
    that it is of. `pipelined_next`: what this thread probably sends next."""
    delivery = attempt.delivery
    # Before anything is begun: once it is, nothing may fail for want of a database.
    attempt.secrets = secrets_in(delivery.version_id, delivery.variables)
    failed: list[_Ended] = []
    accounts = accounts_for(delivery.channel, live=delivery.live)
    if len(accounts) > 1 and not _first_is_certain(accounts):
        pipelined_next = None
    for ready in failover_order(accounts):
        # What was tried in vain is written down before the next one is asked.
        _note(delivery, failed[-1:])
        ended = _through(ready, attempt, permits, None if failed else pipelined_next)
        if not _moves_on(ended):
            return ended.outcome, ended.account
        failed.append(ended)
    mildest = min(failed, key=lambda ended: ended.cost)
    if failed[-1] is not mildest:
        _note(delivery, failed[-1:])
    return mildest.outcome, mildest.account


def failover_order(accounts: list[Ready], chance: Callable[[], float] = random.random) -> list[Ready]:
    """By their order; among equals at random, by weight."""
    return sorted(accounts, key=lambda one: (one.account.order, -(chance() ** (1 / one.account.weight))))


def _first_is_certain(accounts: list[Ready]) -> bool:
    """Whether the next message goes to the same one: not where chance decides."""
    orders = [one.account.order for one in accounts]
    return orders.count(min(orders)) == 1


def _moves_on(ended: _Ended) -> bool:
    return not ended.asked or (ended.outcome.provider_error and ended.outcome.result in _MILDEST)


def _note(delivery: ClaimedDelivery, failed: list[_Ended]) -> None:
    for outcome, account, asked in failed:
        if asked:
            timeline.note(
                delivery, timeline.PASSED_ON, provider=account, code=outcome.code, detail=outcome.detail
            )
            OUTCOMES.labels(delivery.channel, account, timeline.PASSED_ON, outcome.code).inc()


def _through(
    ready: Ready, attempt: DeliveryAttempt, permits: Permits, pipelined_next: Message | None
) -> _Ended:
    account = ready.account
    permit = permits.permit_for(account.name)
    if isinstance(permit, Outcome):
        return _Ended(permit, account.name, asked=False)
    # Django keeps a connection until it is closed; a turn may be a second away, a provider's answer minutes.
    if connection.connection is not None:
        connection.close()
    domain = attempt.delivery.recipient.rpartition("@")[2].lower()
    paced = rate_limit.refusal(account, domain, urgent=attempt.delivery.priority >= BULK_BELOW)
    outcome = paced or _send(ready, attempt, pipelined_next)
    permits.record(account, permit, outcome)
    if outcome.code == THROTTLED:
        rate_limit.slow_down(account)
    return _Ended(outcome, account.name, asked=paced is None)


def _send(ready: Ready, attempt: DeliveryAttempt, pipelined_next: Message | None) -> Outcome:
    begun_before, attempt.begun = attempt.begun, False
    # A channel's accounts have its provider, and its rows its message.
    provider: Any = ready.provider
    began = time.monotonic()
    try:
        outcome = cleaned(
            provider.send(attempt.message, may_commit=attempt.may_commit, pipelined_next=pipelined_next)
        )
        detail = redacted(outcome.detail, attempt.secrets)
        return outcome if detail == outcome.detail else replace(outcome, detail=detail)
    except Exception:
        # An error of ours. Before the point of no return another try is safe; after it the outcome is unknown.
        log.exception("provider_raised", provider=ready.account.name)
        result = Result.UNKNOWN if attempt.begun else Result.RETRY
        return Outcome(
            result, "internal_error", "The provider's code raised; see the log.", untried=not attempt.begun
        )
    finally:
        series(PROVIDER, ready.account.name).observe(time.monotonic() - began)
        attempt.begun = attempt.begun or begun_before


def cleaned(outcome: Outcome) -> Outcome:
    """Without what a provider may say and a database can't hold: NUL, and halves of characters (JSON has them)."""
    detail, message_id = _storable(outcome.detail), _storable(outcome.provider_message_id)
    if detail == outcome.detail and message_id == outcome.provider_message_id:
        return outcome
    return replace(outcome, detail=detail, provider_message_id=message_id)


def _storable(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()
