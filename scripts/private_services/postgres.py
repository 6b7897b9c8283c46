"""A private PostgreSQL with fsync as in production; under root it runs as the user postgres."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

from scripts.private_services import greetings
from scripts.private_services.process import Instance, NotInstalled, StartFailed, binary


class PrivatePostgres(Instance):
    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": does not wait for clients to leave
    # "immediate": no checkpoint, so that the next start recovers from the log; unlike SIGKILL it takes the
    # children and the shared memory along.
    kill_signal = signal.SIGQUIT
    run_as = "postgres" if os.geteuid() == 0 else None

    def __init__(
        self, directory: Path | None = None, port: int | None = None, detached: bool = False
    ) -> None:
        _program("initdb")
        if self.run_as and not _exists(self.run_as):
            raise NotInstalled(
                "PostgreSQL does not run as root: install the package postgresql for its user."
            )
        super().__init__(directory, port, detached)

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/test"

    def prepare(self) -> None:
        command = [
            _program("initdb"), "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync",
        ]  # fmt: skip
        made = subprocess.run(
            command, cwd=self.directory, user=self.run_as, group=self.run_as,
            extra_groups=[] if self.run_as else None, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        if made.returncode:
            raise StartFailed(f"initdb failed: {made.stderr}")

    def command(self) -> list[str]:
        # A Unix socket's path has room for 107 bytes.
        sockets = str(self.directory) if len(str(self.directory)) < 80 else ""
        return [
            _program("postgres"), "-D", str(self.data), "-p", str(self.port), "-k", sockets,
            "-c", "listen_addresses=127.0.0.1", "-c", "fsync=on", "-c", "max_connections=200",
        ]  # fmt: skip

    def check(self) -> None:
        try:
            greetings.postgres(self.url)
        except greetings.NoAnswer as problem:
            if problem.code == "3D000":
                greetings.postgres(self.url.replace("/test", "/postgres"), 'CREATE DATABASE "test"')
            raise

    def _pids(self) -> Iterable[int]:
        """The postmaster first, so that it forks no more while its children are dealt with."""
        for pid in super()._pids():
            yield pid
            yield from map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def _program(name: str) -> str:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    return binary(name, "postgresql", *reversed(versions))


def _exists(user: str) -> bool:
    return any(entry.pw_name == user for entry in pwd.getpwall())
