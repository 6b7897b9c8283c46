"""A private RabbitMQ: one node without plugins, with its own epmd, cookie and data directory.

The Erlang machine is started directly, not by Debian's `rabbitmq-server`: that one drops our environment
when it changes to the user rabbitmq, leaves a shell between us and the process that is to be killed, and
searches every plugin's folder for every module. So a start takes 1.5 to 2 s and not 4.5 to 5.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

from scripts.private_services import greetings
from scripts.private_services.process import Instance, NotInstalled, StartFailed, binary, wait_for


class Epmd(Instance):
    """Erlang's port mapper; a shared one would outlive the instance."""

    name = "epmd"

    def command(self) -> list[str]:
        return [binary("epmd", "rabbitmq-server"), "-port", str(self.port), "-address", "127.0.0.1"]

    def check(self) -> None:
        socket.create_connection(("127.0.0.1", self.port), timeout=1).close()


class PrivateRabbit(Instance):
    name = "rabbitmq"

    def __init__(
        self, directory: Path | None = None, port: int | None = None, detached: bool = False
    ) -> None:
        super().__init__(directory, port, detached)
        self.node = f"notifier-{self.port}@localhost"
        self.epmd = Epmd(self.directory / "epmd", detached=detached)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def prepare(self) -> None:
        super().prepare()
        cookie = self.directory / ".erlang.cookie"
        if cookie.exists():
            return
        cookie.touch(0o600)
        cookie.write_text(os.urandom(16).hex())
        (self.directory / "enabled_plugins").write_text("[].\n")
        (self.directory / "rabbitmq-env.conf").touch()
        (self.directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = 127.0.0.1:{self.port}\n"
            "disk_free_limit.absolute = 1MB\n"  # a small disk's alarm would hide the one under test
            "log.console.level = info\n"
        )
        libraries = self.directory / "libraries"
        libraries.mkdir()
        for library in (_home() / "plugins").iterdir():
            if not library.name.startswith("rabbitmq_") or library.name.startswith("rabbitmq_prelaunch"):
                (libraries / library.name).symlink_to(library)

    def command(self) -> list[str]:
        # The name is given to Erlang itself: RabbitMQ would start two more machines to look for an epmd.
        return [
            binary("erl", "rabbitmq-server"), "-noinput", "-s", "rabbit", "boot", "-boot", "start_sasl",
            "-sname", self.node, "-start_epmd", "false", "-kernel", "inet_dist_use_interface", "{127,0,0,1}",
            "-kernel", "prevent_overlapping_partitions", "false",
            "-syslog", "logger", "[]", "-syslog", "syslog_error_logger", "false",
            "+W", "w", "+P", "1048576", "+t", "5000000",
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        own = {
            "HOME": self.directory,
            "ERL_EPMD_PORT": self.epmd.port,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP_SECONDS": 0,
            "ERL_LIBS": self.directory / "libraries",
            "ERL_MAX_PORTS": 65536,
            "ERL_MAX_ETS_TABLES": 50000,
            "RABBITMQ_HOME": _home(),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_CONF_ENV_FILE": self.directory / "rabbitmq-env.conf",
            "RABBITMQ_CONFIG_FILE": self.directory / "rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": self.directory / "advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.directory / "enabled_plugins",
            "RABBITMQ_PLUGINS_DIR": self.directory / "libraries",
            "RABBITMQ_MNESIA_BASE": self.data,
            "RABBITMQ_PID_FILE": self.directory / "node.pid",
            "RABBITMQ_LOG_BASE": self.directory,
            "RABBITMQ_LOGS": "-",
        }
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("RABBITMQ_", "ERL_"))
        }
        return inherited | {key: str(value) for key, value in own.items()}

    def check(self) -> None:
        greetings.amqp(self.url)

    def start(self, timeout: float = 60) -> None:
        self.epmd.start(timeout)
        super().start(timeout)

    def close(self) -> None:
        self.epmd.close()
        super().close()

    refuse = Instance.stop

    def memory_alarm(self, on: bool) -> None:
        """Returns when the alarm is in force (publishers are blocked) or cleared."""
        level = "0" if on else "0.4"
        ask = f"vm_memory_monitor:set_vm_memory_high_watermark({level}), rabbit_alarm:get_alarms() =/= []."
        wait_for(
            lambda: self._control("eval", ask) == str(on).lower(),
            20,
            lambda: "the memory alarm did not change",
        )

    def _control(self, *arguments: str) -> str:
        done = subprocess.run(
            [_home() / "sbin" / "rabbitmqctl", "-n", self.node, *arguments],
            env=self.environment(), cwd=self.directory, timeout=30,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise StartFailed(f"rabbitmqctl {arguments[0]} failed: {done.stdout}{done.stderr}")
        return done.stdout.strip()


def _home() -> Path:
    """Where RabbitMQ's own `sbin` and `plugins` are."""
    homes = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
    if homes:
        return homes[-1]
    if (found := shutil.which("rabbitmqctl")) and (
        home := Path(found).resolve().parents[1] / "plugins"
    ).is_dir():
        return home.parent
    raise NotInstalled("RabbitMQ was not found: install the package rabbitmq-server.")
