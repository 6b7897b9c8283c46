"""Splits an email service's post into single tracking events, each in the shape that django-anymail reads.

What services send differs from what they document: a field may be null where others leave it out, several events may
come in one post, and some posts are about no message.
"""

import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

UNUSED: dict[str, tuple[str, ...]] = {
    # Parsed by the library but not used here: removed, so that an odd value is no error.
    "brevo": ("ts_epoch", "tags", "tag"),
    "mailgun": ("timestamp", "tags", "client-info"),
    "postmark": ("DeliveredAt", "BouncedAt", "ReceivedAt", "ChangedAt", "Tag"),
}


def split(body: bytes) -> list[Any]:
    """The tracking events of a JSON body. Raises ValueError."""
    value = json.loads(body)
    return value if isinstance(value, list) else [value]


def of_a_message(service: str, event: Any) -> Any | None:
    """The event in the library's shape; None where it is about no message. Raises any exception for an unknown
    shape."""
    if not isinstance(event, dict):
        raise TypeError(f"An event is an object, not {type(event).__name__}.")
    event = _without_nulls(event)
    shaped = _SHAPES[service](event) if service in _SHAPES else event
    if shaped is None:
        return None
    for part in (shaped, shaped.get("event-data")):
        if isinstance(part, dict):
            for name in UNUSED.get(service, ()):
                part.pop(name, None)
    return shaped


PING_LIMIT = 4096
"""Octets of a service's test request to the URL."""
_PING_KEY = b"test_Am3L1GuOIc4blLUuHqAPxxwkZaJyEk8G"
"""MailerSend signs its test request with this key before an own key exists: public, so it proves nothing."""


def is_ping(service: str, body: bytes, signature: str) -> bool:
    """Whether it is MailerSend's test request, which must be answered for the URL to be saved. It has no effect."""
    if service != "mailersend" or len(body) > PING_LIMIT:
        return False
    signed = hmac.new(_PING_KEY, body, "sha256").hexdigest()
    if not hmac.compare_digest(signed.encode(), signature.encode()):
        return False
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(event, dict) and event.get("type") == "webhook.test"


def _without_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_nulls(one) for key, one in value.items() if one is not None}
        case list():
            return [_without_nulls(one) for one in value if one is not None]
    return value


def _mailersend(event: dict[str, Any]) -> Mapping[str, Any] | None:
    kind = event["type"]
    if kind != "inbound.message" and not kind.startswith("activity."):
        # About the account (a domain, a sender, a list was verified), or a ping.
        return None
    data = event.get("data")
    if kind.startswith("activity.") and isinstance(data, dict):
        data.setdefault("type", kind.removeprefix("activity."))
        if isinstance(data.get("email"), str):
            # The flat form of the event.
            data["email"] = {
                "message": {"id": data.get("message_id")},
                "recipient": {"email": data["email"]},
            }
    return event


def _brevo(event: dict[str, Any]) -> Mapping[str, Any] | None:
    try:
        json.loads(event.get("X-Mailin-custom", "{}"))
    except (TypeError, ValueError):
        # Set by another sender that uses the same account.
        del event["X-Mailin-custom"]
    return event


def _resend(event: dict[str, Any]) -> Mapping[str, Any] | None:
    return event if event["type"].startswith("email.") else None


def _sparkpost(event: dict[str, Any]) -> Mapping[str, Any] | None:
    for fields in event["msys"].values():
        if isinstance(fields, dict) and isinstance(fields.get("bounce_class"), int):
            fields["bounce_class"] = str(fields["bounce_class"])
    return event if event["msys"] else None


_SHAPES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "brevo": _brevo,
    "mailersend": _mailersend,
    "resend": _resend,
    "sparkpost": _sparkpost,
}
