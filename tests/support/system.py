"""The product as deployed: API, workers and scheduler as separate processes, to be killed and restarted."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from scripts.private_services.process import free_port
from tests.environment import ROOT

BIN = Path(sys.executable).parent


class System:
    """Start parts by name; everything ends with the context. Each part's output is `<directory>/<name>.log`."""

    def __init__(
        self,
        directory: Path,
        *,
        database: str,
        email_url: str = "",
        push_url: str = "",
        broker_url: str | None = None,
        redis_url: str | None = None,
        **environment: str,
    ) -> None:
        base, _, _ = os.environ["DATABASE_URL"].rpartition("/")
        self.directory = directory
        self.environment = {
            **os.environ,
            "DATABASE_URL": f"{base}/{database}",
            "BROKER_URL": broker_url or os.environ["BROKER_URL"],
            "REDIS_URL": redis_url or os.environ["REDIS_URL"],
            "EMAIL_PROVIDER_URL": email_url,
            "PUSH_PROVIDER_URL": push_url,
            **environment,
        }
        self.parts: dict[str, subprocess.Popen[bytes]] = {}
        self.api_url = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in self.parts.values():
            _end(part)
        for part in self.parts.values():
            part.wait(10)

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"{name}.log").open("ab") as log:
            part = subprocess.Popen(
                arguments,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.parts[name] = part
        return part

    def start_api(self, workers: int = 1) -> None:
        port = free_port()
        self.api_url = f"http://127.0.0.1:{port}"
        self._start(
            "api", str(BIN / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
            "--workers", str(workers), "--blocking-threads", "8", "--no-ws", "notifier.wsgi:application",
        )  # fmt: skip
        self._until(self._live, "the API")

    @property
    def port(self) -> int:
        return int(self.api_url.rpartition(":")[2])

    def start_front(self, *before: str) -> None:
        """The API with nginx in front, as it is deployed. `before`: a command that starts it."""
        self.api_url = f"http://127.0.0.1:{free_port()}"
        self.environment.update({"PORT": str(self.port), "VAR_DIR": str(self.directory / "var")})
        self._start("api", *before, sys.executable, str(ROOT / "docker/api"))
        self._until(self._live, "the API")

    def migrate(self) -> None:
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=self.environment, check=True
        )

    def start_worker(self, name: str, queues: str, threads: int = 4) -> None:
        """Returns once it is started; `wait_ready` waits until it consumes."""
        self._start(
            name, str(BIN / "celery"), "-A", "celery_app", "worker", "--pool=threads", "-c", str(threads),
            "-Q", queues, "-n", f"{name}@tests", "--without-mingle", "--without-gossip", "-l", "INFO",
        )  # fmt: skip

    def start_tick(self) -> None:
        self._start("tick", sys.executable, "manage.py", "tick")

    def signal(self, name: str, number: signal.Signals) -> None:
        self.parts[name].send_signal(number)

    def kill(self, name: str) -> None:
        _end(self.parts[name])
        self.parts[name].wait(10)

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def wait_ready(self, name: str, times: int = 1) -> None:
        self._until(lambda: self.log(name).count("tests ready.") >= times, name)

    def client(self, key: str, *, address: str | None = None) -> httpx.Client:
        """`address`: of this machine, from which it calls."""
        return httpx.Client(
            base_url=f"{self.api_url}/api/v1/",
            headers={"Authorization": f"Api-Key {key}"},
            timeout=20,
            transport=httpx.HTTPTransport(
                local_address=address, limits=httpx.Limits(max_connections=64, max_keepalive_connections=20)
            ),
        )

    def _live(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.api_url}/api/v1/health/live/", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def _until(self, ready: object, what: str) -> None:
        ends = time.monotonic() + 30
        while not ready():  # type: ignore[operator]
            dead = [name for name, part in self.parts.items() if part.poll() not in (None, -9)]
            if dead or time.monotonic() > ends:
                tail = "".join(f"\n--- {name}\n{self.log(name)[-3000:]}" for name in dead or self.parts)
                raise AssertionError(f"{what} did not get ready.{tail}")
            time.sleep(0.05)


def _end(part: subprocess.Popen[bytes]) -> None:
    """SIGKILL for the part and its children (the API server has some)."""
    try:
        os.killpg(part.pid, signal.SIGKILL)
    except ProcessLookupError:
        part.poll()
