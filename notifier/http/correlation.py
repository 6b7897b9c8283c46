"""One id that follows a request into its log lines, its queue messages and its answer."""

import re
from collections.abc import Callable

import uuid6
from django.http import HttpRequest, HttpResponse

HEADER = "X-Correlation-ID"
_SANE = re.compile(r"\A[\x21-\x7e]{1,128}\Z")


class CorrelationMiddleware:
    """Keeps the caller's id if it is sane, else makes one; every answer carries it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.META.get("HTTP_X_CORRELATION_ID", "")
        sane = _SANE.match(given) is not None
        # By time, so that new ones meet in one corner of the index that finds them.
        correlation_id = given if sane else str(uuid6.uuid7())
        # Whatever runs behind (the request log among it) reads it where the caller would have put it.
        request.META["HTTP_X_CORRELATION_ID"] = correlation_id
        request.correlation_id = correlation_id  # type: ignore[attr-defined]
        request.correlation_id_given = sane  # type: ignore[attr-defined]
        response = self.get_response(request)
        response[HEADER] = correlation_id
        return response
