"""The environment of the benchmarks: their own services, sinks and processes, and measurements of these."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.sinks import count_in
from scripts.private_services.process import free_port
from scripts.private_services.rabbit import PrivateRabbit
from scripts.private_services.redis import PrivateRedis

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 300.0


def stat_of(pid: int) -> tuple[float, int]:
    """(CPU seconds, peak resident bytes) of a process and of the children that it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0.0, 0
    peak = re.search(r"VmHWM:\s+(\d+)", status)
    return sum(map(int, fields[11:15])) / TICKS, int(peak[1]) * 1024 if peak else 0


def children_of(pid: int) -> list[int]:
    found = [pid]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(folder.joinpath("stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found += children_of(int(folder.name))
    return found


def postgres_cpu() -> float:
    """CPU seconds of every PostgreSQL process that lives now."""
    total = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"postgres" in folder.joinpath("cmdline").read_bytes().split(b"\0")[0]:
                total += stat_of(int(folder.name))[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


@dataclass
class Sink:
    """A receiving server. `name`: its program, for the table."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    count: Callable[[], int]


@dataclass
class Stage:
    """Created once for a run. `environment`: the variables of the product's processes."""

    quick: bool
    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="notifier-bench-")))
    environment: dict[str, str] = field(default_factory=dict)
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def open(self, database_url: str) -> None:
        """Start a private RabbitMQ and Redis; on the given PostgreSQL server it uses a database of its own."""
        self._rabbit, self._redis = PrivateRabbit(), PrivateRedis()
        self._rabbit.start()
        self._redis.start()
        server, _, _ = database_url.rpartition("/")
        self.server, self.database = server, f"notifier_bench_{os.getpid()}"
        secrets = ("SECRET_KEY", "JWT_SIGNING_KEY", "HASH_KEY", "ENCRYPTION_KEYS")
        limits = ("RATE_LIMIT_ADDRESS", "RATE_LIMIT_KEY", "RATE_LIMIT_PERSON", "RATE_LIMIT_ITEMS")
        self.environment = {
            **os.environ,
            **{name: f"{name.lower()}-of-the-benchmarks-and-nothing-else" for name in secrets},
            **dict.fromkeys(limits, "100000000"),
            "BULK_HIGH_WATER": "100000000",
            "DATABASE_URL": f"{server}/{self.database}",
            "BROKER_URL": self._rabbit.url,
            "REDIS_URL": self._redis.url,
            "EMAIL_FROM": "Notifier <notifier@sender.test>",
            "VAR_DIR": str(self.directory),
            "DJANGO_SETTINGS_MODULE": "notifier.settings",
        }
        os.environ.update(self.environment)

    def close(self) -> None:
        for process in self._started:
            self.end(process)
        for service in (self._rabbit, self._redis):
            service.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own commands
                command,
                cwd=ROOT,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Terminate the process; kill it and its children if it does not end within 20 seconds."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)

    @contextmanager
    def smtp_sink(self, delay: float = 0.0) -> Iterator[Sink]:
        """smtp-sink where it is installed and no delay is wanted, else `benchmarks.sinks`."""
        port, found = (
            free_port(),
            shutil.which("smtp-sink", path=f"{os.environ['PATH']}:/usr/sbin:/usr/lib/postfix/sbin"),
        )
        if found and not delay:
            counts = self.directory / f"sink-{port}"
            with counts.open("wb") as out:
                process = subprocess.Popen(  # noqa: S603
                    [found, "-c", *(["-u", "nobody"] if os.geteuid() == 0 else []), f"127.0.0.1:{port}", "1024"],
                    stdout=out, start_new_session=True,
                )  # fmt: skip
            self._started.append(process)

            def counted() -> int:
                reported = re.findall(rb"mesg=(\d+)", counts.read_bytes()[-200:])
                return int(reported[-1]) if reported else 0

            sink = Sink("smtp-sink", port, process, counted)
        else:
            sink = self._own_sink("smtp", port, delay)
        try:
            _until_open(port)
            yield sink
        finally:
            self.end(sink.process)

    @contextmanager
    def fcm_sink(self, delay: float = 0.0) -> Iterator[Sink]:
        sink = self._own_sink("fcm", free_port(), delay)
        try:
            _until_open(sink.port)
            yield sink
        finally:
            self.end(sink.process)

    def _own_sink(self, kind: str, port: int, delay: float) -> Sink:
        counter = self.directory / f"sink-{port}"
        process = self.start(
            sys.executable, "-m", "benchmarks.sinks", kind, str(port), str(delay), str(counter)
        )
        return Sink("asyncio sink", port, process, lambda: count_in(counter))

    @contextmanager
    def workers(
        self, queue: str, *, processes: int, threads: int, nice: int = 0, **environment: str
    ) -> Iterator[list[int]]:
        """Run workers of one queue; yields their pids."""
        celery = str(Path(sys.executable).parent / "celery")
        started = [
            self.start(
                *(["nice", "-n", str(nice)] if nice else []),
                celery, "-A", "celery_app", "worker", "--pool=threads", "-c", str(threads), "-Q", queue,
                "-n", f"{queue}{number}@bench", "--without-gossip", "--without-mingle", "-l", "WARNING",
                **environment,
            )
            for number in range(processes)
        ]  # fmt: skip
        try:
            yield [process.pid for process in started]
        finally:
            for process in started:
                self.end(process)

    def wsgi(
        self, application: str = "notifier.wsgi:application", **environment: str
    ) -> AbstractContextManager[tuple[str, int]]:
        """Run an API server with two processes; yields `host:port` and the pid."""
        port = free_port()
        granian = str(Path(sys.executable).parent / "granian")
        return self._serving(
            port,
            granian, "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--workers", "2",
            "--blocking-threads", "8", "--no-ws", "--log-level", "error", application,
            **environment,
        )  # fmt: skip

    def api(self) -> AbstractContextManager[tuple[str, int]]:
        """The same with docker/api, with as many processes and threads as `wsgi`."""
        port = free_port()
        return self._serving(
            port,
            sys.executable, str(ROOT / "docker/api"),
            PORT=str(port), API_WORKERS="2", API_THREADS="8", GRANIAN_LOG_LEVEL="error",
        )  # fmt: skip

    @contextmanager
    def _serving(self, port: int, *command: str, **environment: str) -> Iterator[tuple[str, int]]:
        process = self.start(*command, **environment)
        try:
            _until_open(port)
            yield f"127.0.0.1:{port}", process.pid
        finally:
            self.end(process)


def _until_open(port: int) -> None:
    import socket

    ends = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)


@dataclass
class Throughput:
    """How fast messages arrived, and the cost: messages a second, CPU seconds by process, peak resident bytes."""

    rate: float
    cpu: dict[str, float]
    peak: int


def wait_for_messages(count: Callable[[], int], wanted: int, processes: dict[str, list[int]]) -> Throughput:
    """Wait until `count` reaches `wanted`; measured from the first message on. Raises TimeoutError."""
    ends = time.monotonic() + PATIENCE
    while not (first := count()):
        if time.monotonic() > ends:
            raise TimeoutError("Nothing arrived.")
        time.sleep(0.02)
    began, before = time.monotonic(), _cpu(processes)
    while (last := count()) < wanted:
        if time.monotonic() > ends:
            raise TimeoutError(f"Only {last} of {wanted} arrived.")
        time.sleep(0.02)
    took = time.monotonic() - began
    after = _cpu(processes)
    peak = sum(stat_of(pid)[1] for pids in processes.values() for one in pids for pid in children_of(one))
    return Throughput((last - first) / took, {name: after[name] - before[name] for name in after}, peak)


def _cpu(processes: dict[str, list[int]]) -> dict[str, float]:
    found: dict[str, Any] = {
        name: sum(stat_of(pid)[0] for one in pids for pid in children_of(one))
        for name, pids in processes.items()
    }
    return {**found, "postgres": postgres_cpu()}
