"""The correlation id: one id in a request's log lines, its queue messages and its response."""

import re
from collections.abc import Callable

import uuid6
from django.http import HttpRequest, HttpResponse

HEADER = "X-Correlation-ID"
_VALID = re.compile(r"\A[\x21-\x7e]{1,128}\Z")


class CorrelationMiddleware:
    """Keeps the caller's id if it is valid (1 to 128 printable ASCII characters), else generates one; every response
    has it as X-Correlation-ID."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.META.get("HTTP_X_CORRELATION_ID", "")
        valid = _VALID.match(given) is not None
        # Time-ordered, so that new ids are neighbours in the index over them.
        correlation_id = given if valid else str(uuid6.uuid7())
        # What runs later (the request log among it) reads it from the request header.
        request.META["HTTP_X_CORRELATION_ID"] = correlation_id
        request.correlation_id = correlation_id  # type: ignore[attr-defined]
        request.correlation_id_given = valid  # type: ignore[attr-defined]
        response = self.get_response(request)
        response[HEADER] = correlation_id
        return response
