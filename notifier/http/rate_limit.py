"""Rate limit headers on every response of the API, and the count of the requests that no view has counted."""

from collections.abc import Callable
from dataclasses import replace

from django.http import HttpRequest, HttpResponse
from rest_framework import status

from apps.users.access import throttling
from apps.users.access.authentication import Caller
from notifier.http.errors import too_many
from notifier.http.metrics import LIMITED
from notifier.lib.redis.sliding_window import SECOND, Standing

API, HEALTH = "/api/v1/", "/api/v1/health/"


class RateLimitMiddleware:
    """Requests with a refused credential or permission, and of unknown paths, end before the view's throttle: they
    are counted here.

    None of them has changed anything, so beyond the limit a 429 replaces the response.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not request.path_info.startswith(API) or request.path_info.startswith(HEALTH):
            return response
        standing: Standing | None = getattr(request, "rate_limit", None)
        if standing is None:
            # An error of this service, such as an unavailable database, must not count against the caller.
            weight = 0 if response.status_code >= 500 else 1
            standing = throttling.take_request(request, getattr(request, "auth", None), weight=weight)
            if not standing.allowed and weight:
                response = too_many(request, throttling.seconds(standing))
        elif response.status_code == status.HTTP_429_TOO_MANY_REQUESTS and standing.allowed:
            # A tighter limit, on sign-ins and the like, has refused the request.
            wait = int(response["Retry-After"]) * SECOND
            standing = replace(standing, allowed=False, used=standing.limit, wait=wait)
        if response.status_code == status.HTTP_429_TOO_MANY_REQUESTS:
            LIMITED.labels(_kind(getattr(request, "auth", None))).inc()
        for name, value in throttling.headers(standing).items():
            response[name] = value
        return response


def _kind(caller: object) -> str:
    if not isinstance(caller, Caller):
        return "address"
    return "person" if caller.api_key is None else "key"
