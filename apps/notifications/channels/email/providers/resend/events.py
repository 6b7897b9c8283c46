"""Resend's tracking events."""

import base64
import hmac
import time
from typing import Any

from anymail.signals import AnymailTrackingEvent
from anymail.webhooks.resend import ResendTrackingWebhookView

from apps.notifications.channels.email.providers.anymail.events import AnymailEvents
from apps.notifications.channels.tracking import Kind, Unverified

CLOCKS_DIFFER_SECONDS = 300
"""How old, or how far ahead, a signature with a time may be: what Standard Webhooks recommend."""
# Event types that django-anymail doesn't know: accepted, but then not sent.
_KINDS = {"email.failed": Kind.BOUNCED, "email.suppressed": Kind.BOUNCED}


class _View(ResendTrackingWebhookView):  # type: ignore[misc]
    """Resend signs by the Standard Webhooks specification, with older header names. The library that django-anymail
    uses for it would bring a dozen dependencies for these lines."""

    def __init__(self, webhook_secret: str) -> None:
        # Only to avoid the class's warning about a missing secret; the check is below.
        super().__init__(webhook_secret=webhook_secret)
        self._key = base64.b64decode(webhook_secret.removeprefix("whsec_"))

    def run_validators(self, request: Any) -> None:
        sent_at = int(request.headers["svix-timestamp"])
        if abs(time.time() - sent_at) > CLOCKS_DIFFER_SECONDS:
            raise Unverified
        signed = f"{request.headers['svix-id']}.{sent_at}.".encode() + request.body
        expected = b"v1," + base64.b64encode(hmac.digest(self._key, signed, "sha256"))
        given = request.headers["svix-signature"].encode().split()
        if not any(hmac.compare_digest(expected, one) for one in given):
            raise Unverified


class Events(AnymailEvents):
    identified_by = "HTTP_SVIX_ID"
    view = _View
    hard = frozenset({"Permanent"})
    soft = frozenset({"Transient"})

    def shaped(self, event: dict[str, Any]) -> Any | None:
        return event if event["type"].startswith("email.") else None

    def kind(self, event: AnymailTrackingEvent) -> Kind | None:
        return super().kind(event) or _KINDS.get(event.esp_event["type"])

    def bounce_word(self, raw: Any) -> Any:
        return raw["data"].get("bounce", {}).get("type")
