"""HTTP metrics: requests by route, and the page that Prometheus scrapes."""

import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest

from apps.notifications.observability.exposition import PAGE
from apps.notifications.observability.metrics import REGISTRY

REQUESTS = Counter(
    "notifier_http_requests", "Requests answered.", ["method", "route", "status"], registry=REGISTRY
)
SECONDS = Histogram(
    "notifier_http_request_seconds",
    "From a request's arrival until its answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
LIMITED = Counter(
    "notifier_rate_limited_requests",
    "Requests refused for their number, by what they were counted for: a key, a person, an address.",
    ["caller"],
    registry=REGISTRY,
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
"""The label for unknown methods and paths: otherwise callers could create any number of series."""
ADMIN = "admin/"
LOOPBACK = frozenset({"127.0.0.1", "::1"})
FORWARDED = frozenset({"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"})


class MetricsMiddleware:
    """The outermost middleware that sees a request's route: its time includes what the others take."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.monotonic()
        response = self.get_response(request)
        method = request.method if request.method in METHODS else OTHER
        route = _route(request)
        REQUESTS.labels(method, route, response.status_code).inc()
        SECONDS.labels(method, route).observe(time.monotonic() - began)
        return response


def _route(request: HttpRequest) -> str:
    match = request.resolver_match
    if match is None:
        return OTHER
    # The admin has many pages, for operators alone: one series is enough.
    return ADMIN if match.route.startswith(ADMIN) else match.route


def page(request: HttpRequest) -> HttpResponse:
    """The metrics of every process, to clients that send METRICS_TOKEN."""
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        if not constant_time_compare(given, f"Bearer {settings.METRICS_TOKEN}"):
            return HttpResponse(
                "Send METRICS_TOKEN as `Authorization: Bearer …`.\n",
                status=401,
                content_type="text/plain",
                headers={"WWW-Authenticate": "Bearer"},
            )
    elif not (settings.LOCAL and _is_local(request)):
        # Behind a proxy every client seems to come from this machine: an address is no authorization.
        return HttpResponse(
            "Set METRICS_TOKEN, or METRICS_LISTEN; docs/settings.md has both.\n",
            status=403,
            content_type="text/plain",
        )
    return HttpResponse(generate_latest(PAGE), content_type=CONTENT_TYPE_LATEST)


def _is_local(request: HttpRequest) -> bool:
    return request.META.get("REMOTE_ADDR") in LOOPBACK and not FORWARDED & set(request.headers)
