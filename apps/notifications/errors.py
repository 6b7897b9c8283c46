"""What can go wrong with a request, as the inner rooms say it.

NotifierError
├── Invalid             400: fields are at fault, each named
├── NotTracking         400: a service's event, but none about our messages
├── Unverified          403: an event that its service has not signed
├── NotHere             404
├── InProgress          409: the first request with this key is still running
├── AlreadyDelivered    409: this request_id was sent already
├── BeingSent              409: a receipt that is quicker than the record of its send
├── NotCancellable      409: something was sent already
├── EndpointDisabled    409: callbacks have nowhere to go
├── QuotaReached        409: the organization keeps as much of it as it may
├── KeyReused           422: same Idempotency-Key, other body
├── RequestIdReused     422: same request_id, other body
├── TooManyWaiting      503: the bulk lanes are past their mark
└── ResetsUnavailable   503: there is no address for a reset's link
"""

from typing import Any, ClassVar


class NotifierError(Exception):
    """`status` is the HTTP status it answers with, `code` the stable machine code, `message` for a person."""

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
    """`fields`: a list of {field, code, detail}."""

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
