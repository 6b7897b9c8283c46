"""Lua scripts in Redis, for features that go on without Redis while it is unavailable."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import redis
import structlog
from django.conf import settings
from django_redis import get_redis_connection

log = structlog.get_logger(__name__)

RETRY_SECONDS = 5
"""Seconds between attempts after Redis failed: in that time only one thread waits for its timeouts, once."""


class RedisScripts:
    """`event`: the log event for when Redis fails and the caller goes on without it."""

    def __init__(self, event: str) -> None:
        self._event = event
        self._lock = threading.Lock()
        self._failed = False
        self._retry_at = 0.0

    def run(self, script: str, *, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """The script's result; None while Redis does not answer or where REDIS_URL is not set."""
        if not settings.REDIS_URL or not self._may_try():
            return None
        try:
            answer = get_redis_connection().register_script(script)(keys=keys, args=args)
        except redis.RedisError as error:
            with self._lock:
                self._failed, self._retry_at = True, time.monotonic() + RETRY_SECONDS
            log.warning(self._event, reason=type(error).__name__, seconds=RETRY_SECONDS)
            return None
        self._failed = False
        return answer

    def _may_try(self) -> bool:
        if not self._failed:
            return True
        with self._lock:
            if time.monotonic() < self._retry_at:
                return False
            # This thread tries for all others whether Redis is back.
            self._retry_at = time.monotonic() + RETRY_SECONDS
            return True
