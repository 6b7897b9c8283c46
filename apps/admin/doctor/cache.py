"""Checks Redis directly, not through Django's cache, which hides errors by design."""

import redis
from django.conf import settings

from apps.admin.doctor.findings import Finding, message_of, ok, warning, wrong

ANSWER_SECONDS = 2


def answers() -> list[Finding]:
    if not settings.REDIS_URL:
        if settings.LOCAL:
            return [ok("REDIS_URL is not set; a single process needs no Redis.")]
        return [
            warning(
                "REDIS_URL is not set: each process counts alone, so rate limits hold per process only.",
                "Set REDIS_URL where more than one API process runs.",
            )
        ]
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=None,
        retry_on_error=[],
    )
    place = client.connection_pool.connection_kwargs
    where = f"{place.get('host', 'localhost')}:{place.get('port', 6379)}"
    try:
        with client:
            client.ping()
    except redis.AuthenticationError as error:
        return [
            wrong(
                f"Redis at {where} refuses us: {message_of(error)}.",
                "Correct the user name and password in REDIS_URL.",
            )
        ]
    except redis.RedisError as error:
        return [
            wrong(
                f"Redis at {where} can't be reached: {message_of(error)}.",
                "Start Redis, or correct REDIS_URL. Without it everything works, but sign-ins are not limited.",
            )
        ]
    return [ok(f"Redis answers at {where}.")]
