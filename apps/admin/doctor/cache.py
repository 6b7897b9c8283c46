"""Redis, past the cache's own interface, which hides faults by design."""

import redis
from django.conf import settings

from apps.admin.doctor.findings import Finding, message_of, ok, warning, wrong

ANSWER_SECONDS = 2


def answers() -> list[Finding]:
    if not settings.REDIS_URL:
        if settings.LOCAL:
            return [ok("There is no Redis, and one process needs none.")]
        return [
            warning(
                "REDIS_URL is not set: each process counts for itself, so limits hold for one process only.",
                "Set REDIS_URL wherever more than one process of the API runs.",
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
                "Start Redis, or correct REDIS_URL. Everything works without it, and sign-ins are not limited.",
            )
        ]
    return [ok(f"Redis answers at {where}.")]
