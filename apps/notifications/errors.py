"""The errors by which the inner rooms reject a request; the API turns each into its HTTP status and code.

NotifierError
├── Invalid             400: fields are not valid, each named
├── NotTracking         400: a post by an email service, but no tracking event of ours
├── Unverified          403: a tracking event whose signature does not verify
├── NotHere             404
├── InProgress          409: the first request with this key is still running
├── AlreadyDelivered    409: this request_id was sent already
├── BeingSent           409: a receipt that came before its send was recorded
├── NotCancellable      409: a delivery was sent already
├── EndpointDisabled    409: there is no enabled endpoint for callbacks
├── QuotaReached        409: the organization's quota of stored objects is used up
├── PayloadTooLarge     413: the body is larger than its limit
├── KeyReused           422: same Idempotency-Key, other body
├── RequestIdReused     422: same request_id, other body
├── EventsUnread        503: tracking events in a shape that is not known; kept for operators
├── TooManyWaiting      503: the bulk lanes have more waiting than their limit
└── ResetsUnavailable   503: PUBLIC_URL is not set, so a reset's link has no address
"""

from typing import Any, ClassVar


class NotifierError(Exception):
    """`status`: the HTTP status. `code`: the stable machine code. `message`: a sentence for a person."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "invalid"

    def __init__(
        self,
        message: str,
        *,
        fields: list[dict[str, str]] | None = None,
        data: Any = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields or []
        self.data = data
        self.headers = headers or {}


class Invalid(NotifierError):
    """`fields`: a list of {field, code, detail}, one for each error."""

    status = 400
    code = "validation_error"

    @classmethod
    def at(cls, field: str, code: str, detail: str) -> "Invalid":
        return cls.of([{"field": field, "code": code, "detail": detail}])

    @classmethod
    def of(cls, fields: list[dict[str, str]]) -> "Invalid":
        names = ", ".join(dict.fromkeys(entry["field"] for entry in fields))
        return cls(f"The request is not valid: see {names}.", fields=fields)


class NotTracking(NotifierError):
    status = 400
    code = "wrong_event"


class Unverified(NotifierError):
    status = 403
    code = "unverified"


class NotHere(NotifierError):
    status = 404
    code = "not_found"


class InProgress(NotifierError):
    status = 409
    code = "request_in_progress"


class AlreadyDelivered(NotifierError):
    status = 409
    code = "already_delivered"


class NotCancellable(NotifierError):
    status = 409
    code = "not_cancellable"


class EndpointDisabled(NotifierError):
    status = 409
    code = "endpoint_disabled"


class QuotaReached(NotifierError):
    status = 409
    code = "quota_reached"


class KeyReused(NotifierError):
    status = 422
    code = "idempotency_key_reused"


class RequestIdReused(NotifierError):
    status = 422
    code = "request_id_reused"


class PayloadTooLarge(NotifierError):
    status = 413
    code = "payload_too_large"


class EventsUnread(NotifierError):
    status = 503
    code = "events_unread"


class TooManyWaiting(NotifierError):
    status = 503
    code = "too_many_waiting"


class ResetsUnavailable(NotifierError):
    status = 503
    code = "resets_unavailable"


class BeingSent(NotifierError):
    status = 409
    code = "in_hand"
