"""Converts an FCM answer (HTTP status, JSON error, headers) to an `Outcome`.

The error's shape is google.rpc.Status: `{"error": {"code", "message", "status", "details": [...]}}`, where a
detail may be an FcmError (`errorCode`) or a BadRequest (`fieldViolations`). Only FCM's own error code retires
a token: a bare 404 or 403 comes from a wrong project, address or proxy, and would retire every device.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.notifications.channels.outcome import DETAIL_LIMIT, Outcome, Result
from notifier.lib.http.retry_after import retry_after

PATIENCE = 60.0
"""Seconds to wait after a 429 without Retry-After: FCM's quota is per minute."""
SERVER_WAIT = 10.0
"""Seconds to wait after a 5xx, the minimum that FCM's documentation asks for."""
BAD_TOKEN_PHRASE = "not a valid FCM registration token"  # noqa: S105
"""In the message: FCM doesn't always name the field in a malformed token's INVALID_ARGUMENT."""

_GONE = {"UNREGISTERED": "unregistered", "SENDER_ID_MISMATCH": "sender_id_mismatch"}
_THIRD_PARTY = frozenset({"THIRD_PARTY_AUTH_ERROR", "APNS_AUTH_ERROR"})
_QUOTA = frozenset({"QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED"})
_OUR_SETUP = {401: "unauthenticated", 403: "permission_denied", 404: "not_found", 407: "proxy_refused"}


@dataclass(frozen=True, slots=True)
class _Error:
    """`code`: FcmError's errorCode; "" where the answer has none, so may not be FCM's own."""

    code: str = ""
    status: str = ""
    message: str = ""
    fields: tuple[str, ...] = ()


def outcome_of(
    status: int, body: bytes, headers: Mapping[str, str], *, token: str, now: datetime | None = None
) -> Outcome:
    """The outcome of one answer, for any status and any body. `token` is masked in the detail."""
    answer = _json(body)
    if 200 <= status < 300:
        name = answer.get("name")
        if status == 200 and isinstance(name, str) and name:
            return Outcome(Result.SENT, "accepted", provider_message_id=name[:200])
        return Outcome(Result.UNKNOWN, "unreadable_answer", _detail(status, _Error(), body, token))
    error = _error(answer)
    detail = _detail(status, error, body, token)
    if error.code in _GONE:
        return Outcome(Result.PERMANENT, _GONE[error.code], detail, recipient_gone=True)
    if error.code in _THIRD_PARTY:
        # The app's configuration for one platform; the provider works for the others.
        return Outcome(Result.CONFIGURATION, "third_party_auth", detail)
    if status == 429 or error.code in _QUOTA:
        return Outcome(
            Result.DEFERRED, "throttled", detail, wait=retry_after(headers, now=now, default=PATIENCE)
        )
    if 500 <= status < 600:
        wait = max(SERVER_WAIT, retry_after(headers, now=now, default=SERVER_WAIT))
        return Outcome(Result.RETRY, "server_error", detail, wait=wait, provider_error=True)
    if status in _OUR_SETUP:
        return Outcome(Result.CONFIGURATION, _OUR_SETUP[status], detail, provider_error=True)
    if 300 <= status < 400:
        return Outcome(Result.CONFIGURATION, "redirected", detail, provider_error=True)
    if status == 400 and _names_token(error):
        return Outcome(Result.PERMANENT, "invalid_token", detail, recipient_gone=True)
    if status == 400:
        return Outcome(Result.PERMANENT, "invalid_argument", detail)
    if 400 < status < 500 and status != 408:
        return Outcome(Result.PERMANENT, "refused", detail)
    return Outcome(Result.RETRY, "unreadable_answer", detail, wait=SERVER_WAIT, provider_error=True)


def masked(text: str, token: str) -> str:
    """`text` in one line without the device token, at most `DETAIL_LIMIT` characters."""
    if token:
        text = text.replace(token, f"{token[:6]}…" if len(token) > 20 else "…")
    return re.sub(r"\s+", " ", text).strip()[:DETAIL_LIMIT]


def _json(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _error(answer: dict[str, Any]) -> _Error:
    error = answer.get("error")
    if not isinstance(error, dict):
        return _Error()
    code, fields = "", []
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if not isinstance(detail, dict):
            continue
        if str(detail.get("@type", "")).endswith("FcmError"):
            code = _text(detail.get("errorCode")) or code
        violations = detail.get("fieldViolations")
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, dict):
                fields.append(_text(violation.get("field")))
    return _Error(code, _text(error.get("status")), _text(error.get("message")), tuple(fields))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _names_token(error: _Error) -> bool:
    # "message.token", and not a data key of that name ("message.data.token").
    named = any(re.fullmatch(r"(message\.)?(registration_)?token", field) for field in error.fields)
    return named or BAD_TOKEN_PHRASE in error.message


def _detail(status: int, error: _Error, body: bytes, token: str) -> str:
    text = error.message or body[: 2 * DETAIL_LIMIT].decode("utf-8", "replace")
    kind = error.code or error.status
    fields = f" [{', '.join(error.fields)}]" if error.fields else ""
    return masked(f"{status} {kind}: {text}{fields}" if kind else f"{status}: {text}{fields}", token)
