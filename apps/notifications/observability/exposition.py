"""One page of metrics for all processes that share a folder; any of them serves it.

Each process counts in memory and writes its metrics to a file of its own every few seconds; the page adds the files
up. The library's own multiprocess mode maps the counters to files: there a full disk kills the process (SIGBUS) in
the middle of a send, and containers, which have the same process ids, share a file. Here a folder that is full or
not writable affects the page, and nothing else.
"""

import atexit
import errno
import fcntl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

import structlog
from django.conf import settings
from prometheus_client import CollectorRegistry, Metric, generate_latest, start_http_server
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from apps.notifications.observability import metrics
from notifier.lib.threads import Loop

log = structlog.get_logger(__name__)

EVERY_SECONDS = 5.0
SLOTS = 256
"""More than the number of processes that share a folder."""
GAUGE = "gauge"


class Slot:
    """A file of the folder, with a lock that this process holds until it ends.

    The next process that takes the slot continues from the file's counts, so that no counter decreases and files
    don't accumulate.
    """

    def __init__(self, path: Path, lock: IO[str]) -> None:
        self.path = path
        self._lock = lock
        self.before = [family for family in _read(path) if family.type != GAUGE]

    def write(self, families: Iterable[Metric]) -> None:
        """Write the families to the file. Raises OSError, which leaves the previous file."""
        beside = self.path.with_suffix(".new")
        beside.write_bytes(generate_latest(_Families(families)))
        beside.replace(self.path)

    def free(self) -> None:
        self._lock.close()


def take_slot(folder: Path) -> Slot:
    """The first free slot, locked. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(SLOTS):
        lock = _locked(folder / f"{number}.lock")
        if lock is not None:
            return Slot(folder / f"{number}.prom", lock)
    raise OSError(f"{folder} has no slot left")


class Exposition(Collector):
    """This process's file, and the page with all of them. Call `start` once in each process that counts."""

    def __init__(self) -> None:
        self._slot: Slot | None = None
        self._served = False
        self._logged: set[str] = set()
        self._loop = Loop("metrics", self._turn, every=lambda: EVERY_SECONDS, ends=self._end)

    def start(self) -> None:
        if settings.METRICS_DIR is not None:
            self._loop.start()
            atexit.register(self.stop)

    def stop(self) -> None:
        """Write the last numbers and free the slot. Called at exit."""
        self._loop.stop()

    def collect(self) -> list[Metric]:
        """The sum of all processes' metrics, with the gauges of running ones only."""
        sources: list[Iterable[Metric]] = [self._own_families()]
        if settings.METRICS_DIR is not None:
            mine = self._slot.path if self._slot else None
            others = sorted(settings.METRICS_DIR.glob("*.prom"))
            sources += [_families_of(path) for path in others if path != mine]
        return added_up(sources)

    def _own_families(self) -> list[Metric]:
        before = self._slot.before if self._slot else []
        return added_up([before, metrics.REGISTRY.collect()])

    def _turn(self) -> None:
        written = self._try("metrics_not_written", self._write)
        served = self._try("metrics_not_served", self._serve)
        if error := written or served:
            raise error

    def _end(self) -> None:
        self._try("metrics_not_written", self._write)
        if self._slot is not None:
            self._slot.free()

    def _try(self, event: str, step: Callable[[], None]) -> Exception | None:
        try:
            step()
        except (OSError, ValueError) as error:
            # Logged once, not every few seconds, until it works again.
            if event not in self._logged:
                self._logged.add(event)
                log.warning(event, reason=str(error))
            return error
        self._logged.discard(event)
        return None

    def _write(self) -> None:
        if self._slot is None and settings.METRICS_DIR is not None:
            self._slot = take_slot(settings.METRICS_DIR)
        if self._slot is not None:
            self._slot.write(self._own_families())

    def _serve(self) -> None:
        if self._served or settings.METRICS_LISTEN is None:
            return
        host, port = settings.METRICS_LISTEN
        try:
            start_http_server(port, host, registry=PAGE)
        except OSError as error:
            # Another process of this folder serves the same page; this one takes the port when that one ends.
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            self._served = True


def added_up(sources: Iterable[Iterable[Metric]]) -> list[Metric]:
    """The families of all sources, one each, with the samples of the same name and labels summed."""
    found: dict[str, tuple[Metric, dict[tuple[str, tuple[tuple[str, str], ...]], float]]] = {}
    for families in sources:
        for family in families:
            empty = Metric(family.name, family.documentation, family.type)
            _, sums = found.setdefault(family.name, (empty, {}))
            for sample in family.samples:
                # Sorted: labels read from a file are in another order than in memory.
                series = sample.name, tuple(sorted(sample.labels.items()))
                sums[series] = sums.get(series, 0.0) + sample.value
    for family, sums in found.values():
        for (name, labels), value in sums.items():
            family.add_sample(name, dict(labels), value)
    return [family for family, _ in found.values()]


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _families_of(path: Path) -> list[Metric]:
    """A process's metrics; without the gauges once it has ended."""
    lock = _locked(path.with_suffix(".lock"))
    if lock is None:
        return _read(path)
    lock.close()
    return [family for family in _read(path) if family.type != GAUGE]


def _locked(path: Path) -> IO[str] | None:
    """The open file, locked; None where another process holds the lock."""
    lock = path.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _read(path: Path) -> list[Metric]:
    try:
        return list(text_string_to_metric_families(path.read_text()))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        log.warning("metrics_not_read", file=path.name, reason=str(error))
        return []


exposition = Exposition()
PAGE = CollectorRegistry()
PAGE.register(exposition)
