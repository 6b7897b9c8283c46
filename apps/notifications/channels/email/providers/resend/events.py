"""Resend's tracking events."""

from typing import Any

from anymail.signals import AnymailTrackingEvent
from anymail.webhooks.resend import ResendTrackingWebhookView

from apps.notifications.channels.email.providers.anymail.events import AnymailEvents
from apps.notifications.channels.tracking import Kind, Unverified
from notifier.lib.http.standard_webhooks import is_signed, key_of

# Event types that django-anymail doesn't know: accepted, but then not sent.
_KINDS = {"email.failed": Kind.BOUNCED, "email.suppressed": Kind.BOUNCED}


class _View(ResendTrackingWebhookView):  # type: ignore[misc]
    """Resend signs by the Standard Webhooks specification, with older header names. The library that django-anymail
    uses for it would bring a dozen dependencies for these lines."""

    def __init__(self, webhook_secret: str) -> None:
        # Only to avoid the class's warning about a missing secret; the check is below.
        super().__init__(webhook_secret=webhook_secret)
        self._key = key_of(webhook_secret)

    def run_validators(self, request: Any) -> None:
        if not is_signed(
            self._key,
            message_id=request.headers["svix-id"],
            timestamp=request.headers["svix-timestamp"],
            signatures=request.headers["svix-signature"],
            body=request.body,
        ):
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
