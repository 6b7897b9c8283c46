"""What is counted, by name. Counting never fails and never waits: the numbers are this process's own memory.

Labels have few values: channels, lanes, providers' names, our own codes. Never an id, never an address.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, disable_created_metrics
from prometheus_client.registry import Collector

# A second sample a series, of when it began, which nobody here asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()

ACCEPTED = Counter(
    "notifier_deliveries_accepted", "Deliveries accepted to be sent.", ["channel", "lane"], registry=REGISTRY
)
OUTCOMES = Counter(
    "notifier_delivery_outcomes",
    "What claimed deliveries came to, and with result passed_on a provider before the last one asked.",
    ["channel", "provider", "result", "code"],
    registry=REGISTRY,
)
RETRIES = Counter(
    "notifier_delivery_retries",
    "Deliveries put off to another attempt.",
    ["channel", "code"],
    registry=REGISTRY,
)
UNTIL_SENT = Histogram(
    "notifier_delivery_seconds",
    "From acceptance, or the time a delivery was scheduled for, until its provider took it.",
    ["channel", "lane"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400),
    registry=REGISTRY,
)
PROVIDER = Histogram(
    "notifier_provider_send_seconds",
    "How long a provider took for one message, whatever came of it.",
    ["provider"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
    registry=REGISTRY,
)
CALLBACK_ATTEMPTS = Counter(
    "notifier_callback_attempts", "Tries of callbacks, by what came of them.", ["result"], registry=REGISTRY
)


@lru_cache(maxsize=4096)
def series(metric: Any, *labels: str) -> Any:
    """`metric.labels(...)`, found once: it costs more than the counting."""
    return metric.labels(*labels)


class Looked(Collector):
    """Numbers that are looked up, all at one time, by the one process that looks: none in any other."""

    def __init__(self) -> None:
        self.families: tuple[Metric, ...] = ()

    def collect(self) -> Iterable[Metric]:
        return self.families


LOOKED = Looked()
REGISTRY.register(LOOKED)
