"""The metrics. Counting never fails and never blocks: the numbers are in this process's memory.

Labels have few values: channels, lanes, providers' names, our own codes; never an id or an address.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from notifier.lib import threads

# It would add a sample with the creation time to each series, which is not used.
disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()

ACCEPTED = Counter(
    "notifier_deliveries_accepted", "Deliveries accepted to be sent.", ["channel", "lane"], registry=REGISTRY
)
OUTCOMES = Counter(
    "notifier_delivery_outcomes",
    "Outcomes of claimed deliveries; result passed_on is a provider after which failover tried the next.",
    ["channel", "provider", "result", "code"],
    registry=REGISTRY,
)
RETRIES = Counter(
    "notifier_delivery_retries",
    "Deliveries deferred to another attempt.",
    ["channel", "code"],
    registry=REGISTRY,
)
UNTIL_SENT = Histogram(
    "notifier_delivery_seconds",
    "Time from acceptance, or from the scheduled time, until a provider accepted the message.",
    ["channel", "lane"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400),
    registry=REGISTRY,
)
PROVIDER = Histogram(
    "notifier_provider_send_seconds",
    "Duration of a provider's send of one message, for any outcome.",
    ["provider"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
    registry=REGISTRY,
)
CALLBACK_ATTEMPTS = Counter(
    "notifier_callback_attempts", "Attempts to send callbacks, by result.", ["result"], registry=REGISTRY
)


@lru_cache(maxsize=4096)
def series(metric: Any, *labels: str) -> Any:
    """`metric.labels(...)`, cached: the look-up costs more than the counting."""
    return metric.labels(*labels)


class Looked(Collector):
    """Gauges that are read from the database, all at once, by the scheduler's process; empty in all others."""

    def __init__(self) -> None:
        self.families: tuple[Metric, ...] = ()

    def collect(self) -> Iterable[Metric]:
        return self.families


class Loops(Collector):
    """The background loops of this process. Summed over processes, the gauge says in how many a loop fails."""

    def collect(self) -> Iterable[Metric]:
        failing = GaugeMetricFamily(
            "notifier_loops_failing",
            "Processes in which this background loop has died or its last turn raised.",
            labels=["loop"],
        )
        for state in threads.states():
            failing.add_metric([state.name], int(state.failing))
        return (failing,)


LOOKED = Looked()
REGISTRY.register(LOOKED)
REGISTRY.register(Loops())
