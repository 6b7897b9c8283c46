"""FCM's responses, verbatim where they are known, and its checks of a message."""

import json
import re
from typing import Any

Answer = tuple[int, Any, dict[str, str]]
"""Status, body (bytes as they are, anything else as JSON), headers."""
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
LARGEST = 4096
LONGEST = 4 * 7 * 24 * 3600
"""Seconds."""
DURATION = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?s")
RESERVED_KEYS = frozenset({"from", "message_type"})
RESERVED_PREFIXES = ("google.", "gcm.")

_ANY = object()
_TEXTS = {str: str}
_SHAPE: dict[str, Any] = {
    "token": str,
    "data": _TEXTS,
    "notification": {"title": str, "body": str, "image": str},
    "android": {
        "collapse_key": str, "priority": str, "ttl": str, "restricted_package_name": str, "data": _TEXTS,
        "notification": dict.fromkeys(
            (
                "title", "body", "icon", "color", "sound", "tag", "click_action", "body_loc_key", "body_loc_args",
                "title_loc_key", "title_loc_args", "channel_id", "ticker", "sticky", "event_time", "local_only",
                "notification_priority", "default_sound", "default_vibrate_timings", "default_light_settings",
                "vibrate_timings", "visibility", "notification_count", "light_settings", "image", "proxy",
            ),
            _ANY,
        ),
        "fcm_options": {"analytics_label": str}, "direct_boot_ok": bool,
    },
    "apns": {"headers": _TEXTS, "payload": _ANY, "fcm_options": {"analytics_label": str, "image": str}},
    "webpush": {
        "headers": _TEXTS, "data": _TEXTS, "notification": _ANY,
        "fcm_options": {"analytics_label": str, "link": str},
    },
    "fcm_options": {"analytics_label": str},
}  # fmt: skip


def error(
    code: int,
    status: str,
    message: str,
    *,
    fcm: str = "",
    field: str = "",
    headers: dict[str, str] | None = None,
) -> Answer:
    details: list[dict[str, Any]] = []
    if fcm:
        details.append({"@type": FCM_ERROR, "errorCode": fcm})
    if field:
        violation = {"field": field, "description": message}
        details.append({"@type": BAD_REQUEST, "fieldViolations": [violation]})
    body: dict[str, Any] = {"code": code, "message": message, "status": status}
    return code, {"error": {**body, "details": details} if details else body}, headers or {}


def unregistered() -> Answer:
    return error(404, "NOT_FOUND", "Requested entity was not found.", fcm="UNREGISTERED")


def sender_id_mismatch() -> Answer:
    return error(403, "PERMISSION_DENIED", "SenderId mismatch", fcm="SENDER_ID_MISMATCH")


def quota(retry_after: str = "") -> Answer:
    headers = {"Retry-After": retry_after} if retry_after else {}
    message = "Quota exceeded for quota metric 'Send requests'."
    return error(429, "RESOURCE_EXHAUSTED", message, fcm="QUOTA_EXCEEDED", headers=headers)


def invalid_token() -> Answer:
    message = "The registration token is not a valid FCM registration token"
    return error(400, "INVALID_ARGUMENT", message, fcm="INVALID_ARGUMENT", field="message.token")


def invalid_argument(message: str = "Request contains an invalid argument.", field: str = "") -> Answer:
    return error(400, "INVALID_ARGUMENT", message, fcm="INVALID_ARGUMENT", field=field)


def third_party_auth(code: str = "THIRD_PARTY_AUTH_ERROR") -> Answer:
    message = "Auth error from APNS or Web Push Service"
    return error(401, "UNAUTHENTICATED", message, fcm=code)


def unauthenticated() -> Answer:
    message = "Request had invalid authentication credentials. Expected OAuth 2 access token."
    return error(401, "UNAUTHENTICATED", message)


def permission_denied() -> Answer:
    message = "Permission 'cloudmessaging.messages.create' denied on resource."
    return error(403, "PERMISSION_DENIED", message)


def unavailable(code: int = 503, retry_after: str = "") -> Answer:
    headers = {"Retry-After": retry_after} if retry_after else {}
    status, fcm = ("INTERNAL", "INTERNAL") if code == 500 else ("UNAVAILABLE", "UNAVAILABLE")
    return error(code, status, "The service is currently unavailable.", fcm=fcm, headers=headers)


def bare(code: int) -> Answer:
    """The response of a wrong path, or of a proxy in between."""
    return code, f"<!DOCTYPE html><title>Error {code}</title>".encode(), {"Content-Type": "text/html"}


def invalid_grant(description: str = "Invalid JWT Signature.") -> Answer:
    return 400, {"error": "invalid_grant", "error_description": description}, {}


def checked(body: bytes) -> tuple[dict[str, Any], Answer | None]:
    """The message in a request's body, and FCM's error response if the message is invalid, else None."""
    try:
        request = json.loads(body)
    except ValueError:
        return {}, invalid_argument("Invalid JSON payload received.")
    message = request.get("message") if isinstance(request, dict) else None
    if not isinstance(message, dict) or request.keys() - {"message", "validate_only"}:
        return {}, invalid_argument("Invalid JSON payload received.", "message")
    if error := _misfit(message, _SHAPE, "message"):
        return {}, invalid_argument(*error)
    if not message.get("token"):
        return {}, invalid_argument("Recipient of the message is not set.", "message")
    web, apns = message.get("webpush", {}), message.get("apns", {})
    if not web.get("fcm_options", {}).get("link", "https://").startswith("https://"):
        return {}, invalid_argument("The link must be an HTTPS URL.", "message.webpush.fcm_options.link")
    if len(apns.get("headers", {}).get("apns-collapse-id", "")) > 64:
        return {}, invalid_argument("Invalid apns-collapse-id.", "message.apns.headers")
    if len(web.get("headers", {}).get("Topic", "")) > 32:
        return {}, invalid_argument("Invalid Topic.", "message.webpush.headers")
    if error := _timing_error(message) or _data_error(message):
        return {}, invalid_argument(*error)
    content = json.dumps([message.get("notification"), message.get("data")], ensure_ascii=False)
    if len(content.encode("utf-8", "surrogatepass")) > LARGEST:
        return {}, invalid_argument("Android message is too big", "message")
    return message, None


def _data_error(message: dict[str, Any]) -> tuple[str, str] | None:
    """FCM's message about the first reserved key, and the key's path; None without one."""
    places = {f"message.{name}": message.get(name, {}) for name in ("android", "webpush")}
    for path, holder in {"message": message, **places}.items():
        for key in holder.get("data", {}):
            if key in RESERVED_KEYS or key.startswith(RESERVED_PREFIXES):
                return f"Invalid data payload key: {key}", f"{path}.data"
    return None


def _timing_error(message: dict[str, Any]) -> tuple[str, str] | None:
    """The same about the first invalid lifetime."""
    ttl = message.get("android", {}).get("ttl", "0s")
    if not DURATION.fullmatch(ttl):
        return (
            f"Invalid value at 'message.android.ttl' (type.googleapis.com/google.protobuf.Duration), {ttl}",
            "",
        )
    if float(ttl[:-1]) > LONGEST:
        return "Invalid TTL: it must be between 0 and 4 weeks.", "message.android.ttl"
    for holder, name in (("apns", "apns-expiration"), ("webpush", "TTL")):
        if not message.get(holder, {}).get("headers", {}).get(name, "0").isdecimal():
            return f"Invalid {name}.", f"message.{holder}.headers"
    return None


def _misfit(value: Any, shape: Any, path: str) -> tuple[str, str] | None:
    """The first place where `value` does not match `shape`: (FCM's message, the path)."""
    if shape is _ANY:
        return None
    if not isinstance(shape, dict):
        return None if isinstance(value, shape) else (f"Invalid value at '{path}'", path)
    if not isinstance(value, dict):
        return f"Invalid value at '{path}'", path
    for name, part in value.items():
        if shape is not _TEXTS and name not in shape:
            unknown = (
                f"Invalid JSON payload received. Unknown name \"{name}\" at '{path}': Cannot find field."
            )
            return unknown, path
        inner = str if shape is _TEXTS else shape[name]
        if error := _misfit(part, inner, f"{path}.{name}"):
            return error
    return None
