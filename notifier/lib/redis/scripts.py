"""Lua scripts in Redis, for what does without Redis while it is away."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import redis
import structlog
from django.conf import settings
from django_redis import get_redis_connection

log = structlog.get_logger(__name__)

REST = 5
"""Seconds for which a Redis that failed isn't asked: its timeouts are paid once in that time, by one thread."""


class RedisScripts:
    """`event`: what the log says when Redis fails and its user goes on by itself."""

    def __init__(self, event: str) -> None:
        self._event = event
        self._lock = threading.Lock()
        self._failed = False
        self._again_at = 0.0

    def run(self, script: str, *, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """The script's answer; None while Redis doesn't answer or where there is none."""
        if not settings.REDIS_URL or not self._may_ask():
            return None
        try:
            answer = get_redis_connection().register_script(script)(keys=keys, args=args)
        except redis.RedisError as error:
            with self._lock:
                self._failed, self._again_at = True, time.monotonic() + REST
            log.warning(self._event, reason=type(error).__name__, seconds=REST)
            return None
        self._failed = False
        return answer

    def _may_ask(self) -> bool:
        if not self._failed:
            return True
        with self._lock:
            if time.monotonic() < self._again_at:
                return False
            # This thread finds out for the others whether Redis is back.
            self._again_at = time.monotonic() + REST
            return True
