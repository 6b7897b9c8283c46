"""The error responses of operations in the OpenAPI document: each status with its description."""

from typing import Any

REASONS = {
    400: "Something in the request is wrong: `errors` names the fields or parameters.",
    401: "No valid credential.",
    403: "The credential is valid, but not for this.",
    404: "There is no such thing here.",
    406: "Only JSON is available: see the Accept header.",
    409: "The present state doesn't allow it: `error` says why.",
    413: "The body is too large.",
    415: "Only JSON is accepted: see the Content-Type header.",
    422: "The Idempotency-Key or the request_id was used with another body before.",
    429: "Too many requests: retry after the seconds in Retry-After.",
    500: "An error of the service; it was logged.",
    503: "Not possible at the moment: retry, after the seconds in Retry-After where it is given.",
}
ALWAYS = (400, 406, 500, 503)
GUARDED = (401, 403)
WRITING = (409,)
WITH_BODY = (413, 415)
WAITING = {429, 503}


def described(status: int, schema: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": REASONS[status],
        "content": {"application/json": {"schema": schema}},
    }
    if status in WAITING:
        answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return answer
