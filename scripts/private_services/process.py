"""A private instance of a service for one test: started, frozen, killed and removed without touching a shared one.

Signals go only to processes that the instance started. It ends with its `with` block, at exit, and even if the test
process is killed: a guard process notices the closed pipe.
"""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from scripts.private_services.greetings import NoAnswer

if TYPE_CHECKING:
    from typing import Self

# $1 process, $2 signal, $3 directory. A line means the process ended in order; the end of the pipe means that the
# process that should have ended it is dead.
GUARD = 'read -r line || { kill -s "$2" "$1"; sleep 2; kill -s KILL "$1" 2>/dev/null; rm -rf -- "$3"; }'


class NotInstalled(Exception):
    """The program or its package is missing; the message names it."""


class StartFailed(Exception):
    """The process ended or did not become usable in time; the message holds the end of its log."""


def binary(name: str, package: str, *folders: str | Path) -> str:
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath), "/usr/sbin"])
    if found := shutil.which(name, path=path):
        return found
    raise NotInstalled(f"{name} was not found: install the package {package}.")


def free_port() -> int:
    # Below the kernel's ephemeral range: a client that reconnects to a dead service inside that range can be given
    # the very port it connects to, and then connects to itself.
    limits = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(limits.read_text().split()[0]) if limits.exists() else 32768
    for port in random.sample(range(20_000, max(lowest, 25_000)), 100):
        if is_free(port):
            return port
    raise StartFailed("100 ports were tried and none was free")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the services themselves do
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_for(ready: Callable[[], bool], timeout: float, failure: Callable[[], str]) -> None:
    deadline = time.monotonic() + timeout
    while not ready():
        if time.monotonic() > deadline:
            raise StartFailed(failure())
        time.sleep(0.02)


class Instance:
    """`directory`: its files, kept afterwards; without one, a temporary directory that `close` removes.
    `detached`: it outlives this process; the caller ends it by its pid file."""

    name = "service"
    stop_signal = signal.SIGTERM
    kill_signal = signal.SIGKILL
    run_as: str | None = None

    def __init__(
        self, directory: Path | None = None, port: int | None = None, detached: bool = False
    ) -> None:
        self.port = port or free_port()
        self.detached = detached
        self._temporary = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix=f"notifier-{self.name}-"))
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.run_as:
            shutil.chown(self.directory, self.run_as)
        self.data = self.directory / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._frozen: list[int] = []
        if not detached:
            atexit.register(self.close)

    url = ""

    def prepare(self) -> None:
        """Makes `self.data`; called before a start that finds none."""
        self.data.mkdir()

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def check(self) -> None:
        """Returns if the service can be used; raises NoAnswer or OSError if not (yet)."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, timeout: float = 60) -> None:
        """Returns when the service answers; does nothing if it runs."""
        if self.running:
            return
        if not self.data.exists():
            self.prepare()
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), env=self.environment(), cwd=self.directory, start_new_session=True,
                user=self.run_as, group=self.run_as, extra_groups=[] if self.run_as else None,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        pid = self._process.pid
        (self.directory / "pid").write_text(f"{pid} {started(pid)} {self.stop_signal.name}\n")
        if not self.detached:
            arguments = [str(pid), self.kill_signal.name[3:], str(self.directory) if self._temporary else ""]
            self._guard = subprocess.Popen(
                ["sh", "-c", GUARD, "guard", *arguments], stdin=subprocess.PIPE, start_new_session=True
            )
        try:
            wait_for(self._answers, timeout, self._end_of_log)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """A clean shutdown."""
        self.thaw()
        self._end([self._process.pid] if self._process else [], self.stop_signal)

    def kill(self) -> None:
        """A kill without warning: nothing is flushed, and clients are not told."""
        self._end(self._pids(), self.kill_signal)

    def freeze(self) -> None:
        """Stop its processes: it keeps its sockets and does not respond, like a host that hangs."""
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)
            self._frozen.append(pid)

    def thaw(self) -> None:
        while self._frozen:
            _signal(self._frozen.pop(), signal.SIGCONT)

    def wipe(self) -> None:
        """Kill it, delete everything that it stored, and start it again."""
        self.kill()
        shutil.rmtree(self.data)
        self.start()

    def close(self) -> None:
        self.kill()
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)
        atexit.unregister(self.close)

    def _pids(self) -> Iterable[int]:
        return [self._process.pid] if self._process and self.running else []

    def _end(self, pids: Iterable[int], number: signal.Signals) -> None:
        if not self._process:
            return
        if self.running:
            for pid in pids:
                _signal(pid, number)
        # Only now: a frozen process must get its signal before it runs on.
        self.thaw()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)
        self._process = None
        if self._guard:
            self._guard.communicate(b"\n")
            self._guard = None

    def _answers(self) -> bool:
        if not self.running:
            raise StartFailed(self._end_of_log())
        try:
            self.check()
        except (NoAnswer, OSError):
            return False
        return True

    def _end_of_log(self) -> str:
        log = (self.directory / "log").read_text(errors="replace")[-2000:]
        return f"{self.name} on port {self.port} did not become usable. The end of its log:\n{log}"


def started(pid: int) -> int | None:
    """When the process began, in clock ticks since boot (with the pid, this names a process for good); None
    if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
