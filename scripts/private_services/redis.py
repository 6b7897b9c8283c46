"""A private Redis without persistence: its data is lost with every stop."""

from __future__ import annotations

from scripts.private_services import greetings
from scripts.private_services.process import Instance, binary


class PrivateRedis(Instance):
    name = "redis"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        server = binary("redis-server", "redis-server")
        return [
            server, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
            "--dir", str(self.data), "--daemonize", "no",
        ]  # fmt: skip

    def check(self) -> None:
        greetings.redis(self.url)

    def flush(self) -> None:
        greetings.redis(self.url, "FLUSHALL")
