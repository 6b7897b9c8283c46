"""Mandrill (Mailchimp Transactional) as a provider: `mandrill://`."""

import requests

from apps.notifications.channels.email.providers.anymail.kind import kind_of
from apps.notifications.channels.email.providers.anymail.provider import object_in
from apps.notifications.channels.email.providers.anymail.service import AnymailService

_STATUSES = {
    "Invalid_Key": 401,
    "PaymentRequired": 403,
    "PoorReputation": 403,
    "Unknown_Subaccount": 403,
    "ValidationError": 422,
}


def _status_of(response: requests.Response) -> int:
    """Mandrill answers most errors with a 500, and says in its JSON which one it is."""
    error = object_in(response)
    named = error.get("name")
    return _STATUSES.get(named, 0) if error.get("status") == "error" and isinstance(named, str) else 0


KIND = kind_of(AnymailService(name="mandrill", status_of=_status_of, verified_by="webhook_key"))
