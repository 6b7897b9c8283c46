"""The cache: in Redis or, without REDIS_URL, in this process."""

from typing import Any

PATIENCE = 0.25
"""Seconds. The cache is optional: a request never waits longer than this for an operation on it, nor fails for it."""


def caches(url: str) -> dict[str, dict[str, Any]]:
    if not url:
        return {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    options = {
        "SOCKET_CONNECT_TIMEOUT": PATIENCE,
        "SOCKET_TIMEOUT": PATIENCE,
        "IGNORE_EXCEPTIONS": True,
        # The default pool refuses the 101st thread at once, which would look like an unavailable Redis.
        "CONNECTION_POOL_CLASS": "redis.BlockingConnectionPool",
        "CONNECTION_POOL_KWARGS": {
            "max_connections": 50,
            "timeout": PATIENCE,
            "retry": None,
            "retry_on_error": [],
        },
    }
    return {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url, "OPTIONS": options}}
