"""Error handling: the response for each exception, with a stable code and a message."""

from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import Resolver404, resolve
from django_ratelimit.exceptions import Ratelimited
from rest_framework import exceptions
from rest_framework.permissions import SAFE_METHODS
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from apps.notifications.errors import NotifierError
from notifier.http.envelope import envelope
from notifier.lib.database.recovery import forget_broken_connections, timed_out
from notifier.lib.fields.validation import field_errors

log = structlog.get_logger(__name__)


def error_response(
    code: str, message: str, status_code: int, *, errors: list[dict[str, str]] | None = None, data: Any = None
) -> Response:
    response = Response(envelope(data, error=code, message=message, errors=errors), status_code)
    response.enveloped = True  # type: ignore[attr-defined]
    return response


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """The response for an exception that a view raised; None (a 500) for an unexpected one."""
    match error:
        case NotifierError():
            answer = error_response(
                error.code, error.message, error.status, errors=error.fields, data=error.data
            )
            for name, value in error.headers.items():
                answer[name] = value
            return answer
        case OperationalError() if timed_out(error):
            # The database and its connections are healthy: only this query took too long.
            log.warning("query_timeout", reason=str(error))
            answer = error_response("query_timeout", TOO_LONG[is_read(context)], 503)
            answer["Retry-After"] = "5"
            return answer
        case OperationalError() | InterfaceError() | InternalError():
            log.error("database_unavailable", reason=str(error))
            forget_broken_connections()
            answer = error_response(
                "database_unavailable", "The database does not answer; try again shortly.", 503
            )
            answer["Retry-After"] = "2"
            return answer
        case IntegrityError():
            return error_response("conflict", "Another request stored the same thing first.", 409)
        case Ratelimited():
            answer = error_response("rate_limited", "Too many attempts; wait a minute.", 429)
            # The whole window: how much of it is left is not known here.
            answer["Retry-After"] = "60"
            return answer
        case Http404():
            error = exceptions.NotFound()
        case PermissionDenied():
            error = exceptions.PermissionDenied()
    response = drf_exception_handler(error, context)
    if response is None or not isinstance(error, exceptions.APIException):
        return None
    if isinstance(error, exceptions.ValidationError):
        fields = field_errors(error.detail)
        names = ", ".join(list(dict.fromkeys(entry["field"] for entry in fields))[:10])
        response.data = envelope(
            error="validation_error", message=f"The request is not valid: see {names}.", errors=fields
        )
    else:
        # The JWT library's details are a dict around the message.
        detail = error.detail.get("detail", "") if isinstance(error.detail, dict) else error.detail
        code = str(getattr(detail, "code", error.default_code))
        response.data = envelope(
            error=ERROR_CODES.get(code, code), message=MESSAGES.get(type(error), str(detail))
        )
    response.enveloped = True  # type: ignore[attr-defined]
    return response


TOO_LONG = {
    True: "This query takes too long. Narrow it with one more filter, such as a person, a template or a range of "
    "time.",
    False: "The database did not finish this in time. Send it again shortly; a request_id keeps it from being done "
    "twice.",
}


def is_read(context: dict[str, Any]) -> bool:
    return context["request"].method in SAFE_METHODS


ERROR_CODES = {
    "parse_error": "malformed_json",
    "token_not_valid": "invalid_token",
    "user_not_found": "invalid_token",
    "user_inactive": "invalid_token",
    "password_changed": "invalid_token",
    "bad_authorization_header": "invalid_token",
    "authentication_failed": "invalid_token",
    "throttled": "rate_limited",
}
MESSAGES: dict[type[Exception], str] = {
    exceptions.NotFound: "There is no such thing here.",
    exceptions.NotAuthenticated: "Send an API key (`Authorization: Api-Key …`) or a JWT (`Bearer …`).",
    exceptions.PermissionDenied: "This caller may not do that.",
    exceptions.Throttled: "Too many requests; ask again after the seconds in Retry-After.",
}


def plain_error(request: HttpRequest, status_code: int, code: str, message: str) -> HttpResponse:
    return JsonResponse(envelope(error=code, message=message), status=status_code)


def too_many(request: HttpRequest, seconds: int) -> HttpResponse:
    answer = plain_error(request, 429, "rate_limited", MESSAGES[exceptions.Throttled])
    answer["Retry-After"] = str(seconds)
    return answer


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    message = MESSAGES[exceptions.NotFound]
    if (meant := with_slash(request.path_info)) is not None:
        message = f"{message} Did you mean {meant}?"
    return plain_error(request, 404, "not_found", message)


def with_slash(path: str) -> str | None:
    """The path with a slash at its end, where that has a route and this one lacks it; else None."""
    if path.endswith("/"):
        return None
    try:
        resolve(f"{path}/")
    except Resolver404:
        return None
    return f"{path}/"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return plain_error(request, 400, "bad_request", "The request can't be read.")


def server_error(request: HttpRequest) -> HttpResponse:
    return plain_error(request, 500, "internal_error", "Something broke here; it was logged.")
