"""Postal as a provider: `postal://`."""

import requests

from apps.notifications.channels.email.providers.anymail.kind import kind_of
from apps.notifications.channels.email.providers.anymail.provider import object_in
from apps.notifications.channels.email.providers.anymail.public_keys import is_rsa
from apps.notifications.channels.email.providers.anymail.service import AnymailService

_STATUSES = {
    "AccessDenied": 401,
    "InvalidServerAPIKey": 401,
    "RateLimited": 429,
    "ServerSuspended": 403,
    "UnauthenticatedFromAddress": 403,
}


def _status_of(response: requests.Response) -> int:
    """Postal answers every error with a 200, and says in its JSON that and why it took nothing."""
    match object_in(response):
        case {"status": "error", "data": {"code": str(code)}}:
            return _STATUSES.get(code, 422)
        case {"status": "parameter-error"}:
            return 422
    return 0


KIND = kind_of(
    AnymailService(
        name="postal",
        required=frozenset({"api_url"}),
        smtputf8=False,
        returns_metadata=False,
        status_of=_status_of,
        verified_by="webhook_key",
        is_secret=is_rsa,
    )
)
