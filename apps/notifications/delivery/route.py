"""Which of a channel's accounts takes a message: the first whose circuit is closed and whose turn it is.

The next one is tried where the fault was the provider's own and the message is certainly not on its way, never
after an end that nobody is sure of.
"""

import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import structlog
from django.db import connection

from apps.notifications.channels.outcome import Message, Outcome, Result
from apps.notifications.delivery.fair_claims import Claim
from apps.notifications.models import BULK_BELOW
from apps.notifications.models.claimed import ClaimedDelivery
from apps.notifications.observability.metrics import OUTCOMES, PROVIDER, series
from apps.notifications.routing import rate_limit
from apps.notifications.routing.circuit_breaker import Permits
from apps.notifications.routing.registry import Ready, accounts_for
from apps.notifications.transitions import timeline
from apps.templates.authoring.redaction import redacted, secrets_in

log = structlog.get_logger(__name__)

THROTTLED = "throttled"
_MILDEST = (Result.DEFERRED, Result.CONFIGURATION, Result.RETRY)
"""Ends after which the message is certainly not on its way, the one that costs it least first."""


class End(NamedTuple):
    """What came of one account. `tried`: the provider was asked, and not only its circuit or its pace."""

    outcome: Outcome
    account: str
    tried: bool

    @property
    def cost(self) -> tuple[int, float]:
        return _MILDEST.index(self.outcome.result), self.outcome.wait or 0.0


def route(
    claim: Claim, message: Message, permits: Permits, pipelined_next: Message | None = None
) -> tuple[Outcome, str]:
    """Send through the accounts in turn; the outcome, and the name of the account that it is of."""
    delivery = claim.delivery
    # Before anything is begun: once it is, nothing may fail for want of a database.
    claim.secrets = secrets_in(delivery.version_id, delivery.variables)
    failed: list[End] = []
    accounts = accounts_for(delivery.channel, live=delivery.live)
    if len(accounts) > 1 and not _first_is_certain(accounts):
        pipelined_next = None
    for ready in failover_order(accounts):
        # What was tried in vain is written down before the next one is asked.
        _note(delivery, failed[-1:])
        end = _through(ready, claim, message, permits, None if failed else pipelined_next)
        if not _moves_on(end):
            return end.outcome, end.account
        failed.append(end)
    mildest = min(failed, key=lambda end: end.cost)
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


def _moves_on(end: End) -> bool:
    return not end.tried or (end.outcome.provider_error and end.outcome.result in _MILDEST)


def _note(delivery: ClaimedDelivery, ends: list[End]) -> None:
    for end in ends:
        if end.tried:
            said = end.outcome
            timeline.note(
                delivery, timeline.PASSED_ON, provider=end.account, code=said.code, detail=said.detail
            )
            OUTCOMES.labels(delivery.channel, end.account, timeline.PASSED_ON, said.code).inc()


def _through(
    ready: Ready, claim: Claim, message: Message, permits: Permits, pipelined_next: Message | None
) -> End:
    account = ready.account
    permit = permits.ask(account.name)
    if isinstance(permit, Outcome):
        return End(permit, account.name, tried=False)
    # Django keeps a connection until it is closed; a turn may be a second away, a provider's answer minutes.
    if connection.connection is not None:
        connection.close()
    domain = claim.delivery.recipient.rpartition("@")[2].lower()
    paced = rate_limit.refusal(account, domain, urgent=claim.delivery.priority >= BULK_BELOW)
    outcome = paced or _send(ready, message, claim, pipelined_next)
    permits.tell(account, permit, outcome)
    if outcome.code == THROTTLED:
        rate_limit.slow_down(account)
    return End(outcome, account.name, tried=paced is None)


def _send(ready: Ready, message: Message, claim: Claim, pipelined_next: Message | None) -> Outcome:
    begun_before, claim.begun = claim.begun, False
    # A channel's accounts have its provider, and its rows its message.
    provider: Any = ready.provider
    began = time.monotonic()
    try:
        outcome = cleaned(provider.send(message, may_commit=claim.may_commit, pipelined_next=pipelined_next))
        detail = redacted(outcome.detail, claim.secrets)
        return outcome if detail == outcome.detail else replace(outcome, detail=detail)
    except Exception:
        # A fault of ours. Before the point of no return another try is safe; after it nobody knows.
        log.exception("provider_raised", provider=ready.account.name)
        result = Result.UNKNOWN if claim.begun else Result.RETRY
        return Outcome(
            result, "internal_error", "The provider's code raised; see the log.", untried=not claim.begun
        )
    finally:
        series(PROVIDER, ready.account.name).observe(time.monotonic() - began)
        claim.begun = claim.begun or begun_before


def cleaned(outcome: Outcome) -> Outcome:
    """Without what a provider may say and a database can't hold: NUL, and halves of characters (JSON has them)."""
    detail, message_id = _storable(outcome.detail), _storable(outcome.provider_message_id)
    if detail == outcome.detail and message_id == outcome.provider_message_id:
        return outcome
    return replace(outcome, detail=detail, provider_message_id=message_id)


def _storable(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()
