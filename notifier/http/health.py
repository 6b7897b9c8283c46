"""Health checks: liveness of the process, and readiness: down without the database, degraded without the rest."""

import threading
import time
from typing import Any

import redis
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from drf_spectacular.utils import extend_schema
from kombu.connection import Connection
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.notifications.queue.broker import BROKER_ERRORS
from notifier.http.envelope import envelope
from notifier.lib import threads
from notifier.lib.database.recovery import DATABASE_ERRORS

OK = "ok"
DOWN = "down"


STATES = [OK, DOWN]


class AliveSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=[OK])


class ReadySerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=[OK, "degraded", DOWN])
    database = serializers.ChoiceField(choices=STATES)
    broker = serializers.ChoiceField(choices=STATES)
    cache = serializers.ChoiceField(choices=STATES)
    loops = serializers.ChoiceField(
        choices=STATES,
        help_text="Down: a background loop of the process that answers fails; its log says why.",
    )


class LiveView(APIView):
    """The process answers."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()

    @extend_schema(responses=AliveSerializer)
    def get(self, request: Request) -> Response:
        return Response({"status": OK})


class ReadyView(APIView):
    """200 `ok`, or `degraded` (no broker, no cache, or a failing background loop: everything is still accepted);
    503 `down` (no database)."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()

    @extend_schema(responses={200: ReadySerializer, 503: ReadySerializer})
    def get(self, request: Request) -> Response:
        parts = _probed()
        if parts["database"] == DOWN:
            response = Response(
                envelope(
                    {"status": DOWN, **parts},
                    error="database_unavailable",
                    message="The database does not answer.",
                ),
                503,
            )
            response.enveloped = True  # type: ignore[attr-defined]
            return response
        return Response({"status": "degraded" if DOWN in parts.values() else OK, **parts})


def _probed() -> dict[str, str]:
    """Every part's state, probed once a second at most and by one thread for all, because the endpoint is public."""
    global _probed_at, _states
    with _probe_lock:
        if time.monotonic() - _probed_at >= CACHED_SECONDS:
            _states = {
                "database": _database(),
                "broker": _broker(),
                "cache": _cache(),
                "loops": _loops(),
            }
            _probed_at = time.monotonic()
        return dict(_states)


CACHED_SECONDS = 1.0
_probe_lock = threading.Lock()
_probed_at = float("-inf")
_states: dict[str, str] = {}


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return OK
    except DATABASE_ERRORS:
        return DOWN


def _broker() -> str:
    # A connection of its own, closed at once: a probe must not depend on a connection that may hang.
    probe = Connection(  # type: ignore[no-untyped-call]
        settings.BROKER_URL, connect_timeout=0.5, transport_options={"read_timeout": 1, "write_timeout": 1}
    )
    try:
        # Not connect(), which retries after two seconds: a probe has to return soon.
        probe.ensure_connection(max_retries=0, reraise_as_library_errors=False)  # type: ignore[no-untyped-call]
        return OK
    except BROKER_ERRORS:
        return DOWN
    finally:
        probe.collect(socket_timeout=0.2)  # type: ignore[no-untyped-call]


def _loops() -> str:
    return DOWN if any(state.failing for state in threads.states()) else OK


def _cache() -> str:
    if not settings.REDIS_URL:
        cache.set("health", OK, 10)
        return OK
    try:
        # Not through Django's cache, which hides errors by design.
        client = redis.Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=0.25,
            socket_connect_timeout=0.25,
            retry=None,
            retry_on_error=[],
        )
        with client:
            client.ping()
        return OK
    except redis.RedisError:
        return DOWN
