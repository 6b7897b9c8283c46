"""Gauges of backlogs, circuits and queues: looked up by the scheduler that holds the lease, every few seconds.

Counts stop at a bound and use partial indexes: a backlog of millions costs no more than one of `COUNT_LIMIT`.
"""

import time
from collections.abc import Iterator
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.models import BULK_BELOW, CALLBACKS, Callback, DeadLetter, ProviderState, UnreadEvent
from apps.notifications.observability.metrics import LOOKED
from apps.notifications.queue import broker
from apps.notifications.queue.broker import Broker, BrokerUnavailable
from apps.notifications.routing.accounts import configured

EVERY_SECONDS = 10.0
COUNT_LIMIT = 50_000
"""A larger count is shown as this."""
CLOSED, OPEN, PROBING = 0, 1, 2


class Gauges:
    """`broker`: the scheduler's own connection."""

    _next_at: float

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.forget()

    def refresh_if_due(self) -> int:
        """Look the gauges up again once it is time. Returns 0: no rows were changed."""
        if time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + EVERY_SECONDS
            # If a query fails, no values are better than old ones.
            LOOKED.families = ()
            LOOKED.families = (
                *_waiting(),
                _circuit_breakers(),
                _dead_letters(),
                _unread(),
                *self._queues(),
                _looked_at(),
            )
        return 0

    def forget(self) -> None:
        """Drop the values: another process looks them up from now on."""
        LOOKED.families = ()
        self._next_at = 0.0

    def _queues(self) -> Iterator[Metric]:
        depth = GaugeMetricFamily(
            "notifier_queue_messages",
            "Messages ready in RabbitMQ; a message names several rows.",
            labels=["queue"],
        )
        try:
            for queue in (*broker.LANES, broker.FAILED):
                depth.add_metric([queue], self._broker.ready_messages(queue))
        except BrokerUnavailable:
            return
        yield depth


def _waiting() -> Iterator[Metric]:
    rows = GaugeMetricFamily(
        "notifier_due_rows", f"Rows that are due and not taken; at most {COUNT_LIMIT}.", labels=["lane"]
    )
    oldest = GaugeMetricFamily(
        "notifier_oldest_due_seconds",
        "How long the oldest of them has been due; 0 with none.",
        labels=["lane"],
    )
    for lane, due in _lanes():
        first = due.order_by("due_at").annotate(age=Now() - F("due_at")).values_list("age", flat=True).first()
        rows.add_metric([lane], due.order_by()[:COUNT_LIMIT].count() if first is not None else 0)
        oldest.add_metric([lane], first.total_seconds() if first is not None else 0.0)
    yield rows
    yield oldest


def _lanes() -> Iterator[tuple[str, QuerySet[Any]]]:
    for channel, model in DELIVERIES.items():
        due = model.objects.due()
        yield broker.lane_of(channel, BULK_BELOW), due.filter(priority__gte=BULK_BELOW)
        yield broker.lane_of(channel, BULK_BELOW - 1), due.filter(priority__lt=BULK_BELOW)
    yield CALLBACKS, Callback.objects.due()


def _circuit_breakers() -> Metric:
    """For the accounts in the settings: an open circuit of an unused account needs no operator."""
    states = {account.name: CLOSED for channel in DELIVERIES for account in configured(channel)}
    opened = ProviderState.objects.filter(name__in=states, open_until__isnull=False)
    for name, over in opened.annotate(over=Q(open_until__lte=Now())).values_list("name", "over"):
        states[name] = PROBING if over else OPEN
    family = GaugeMetricFamily(
        "notifier_circuit_state",
        "0 closed, 1 open, 2 its pause is over and a probe decides.",
        labels=["provider"],
    )
    for name, state in states.items():
        family.add_metric([name], state)
    return family


def _dead_letters() -> Metric:
    waiting = DeadLetter.objects.filter(state=DeadLetter.State.OPEN).order_by()[:COUNT_LIMIT].count()
    return GaugeMetricFamily(
        "notifier_dead_letters_open",
        f"Dead letters that wait for an operator; at most {COUNT_LIMIT}.",
        value=waiting,
    )


def _unread() -> Metric:
    waiting = UnreadEvent.objects.filter(state=UnreadEvent.State.OPEN).order_by()[:COUNT_LIMIT].count()
    return GaugeMetricFamily(
        "notifier_unread_events",
        "Events of email services in a shape that is not known here.",
        value=waiting,
    )


def _looked_at() -> Metric:
    return GaugeMetricFamily(
        "notifier_looked_at_timestamp_seconds",
        "When these were looked up, as a Unix time.",
        value=time.time(),
    )
