"""SendGrid's tracking events."""

import time
from typing import Any

from anymail.signals import AnymailTrackingEvent
from anymail.webhooks.sendgrid import SendGridTrackingWebhookView

from apps.notifications.channels.email.providers.anymail.events import AnymailEvents, without
from apps.notifications.channels.tracking import Unverified

SENDGRID_TRIES_FOR_SECONDS = 25 * 3600
"""SendGrid retries for a day. An older signature may have been copied from a log."""
_ABOUT_THE_ADDRESS = frozenset({"", "Invalid Address", "Unclassified"})
"""Its classes of a bounce that don't speak against a dead address; others are content, reputation, volume, technical
failures, and mailboxes that are full or suspended."""


class _View(SendGridTrackingWebhookView):  # type: ignore[misc]
    def run_validators(self, request: Any) -> None:
        super().run_validators(request)
        stamp = int(request.headers["X-Twilio-Email-Event-Webhook-Timestamp"])
        if abs(time.time() - stamp) > SENDGRID_TRIES_FOR_SECONDS:
            raise Unverified


class Events(AnymailEvents):
    """A bounce of the type "blocked" is final as well, though it says nothing about the address."""

    view = _View
    view_argument = "tracking_webhook_verification_key"
    hard = frozenset({"bounce"})

    def shaped(self, event: dict[str, Any]) -> Any:
        return [without(event, "timestamp", "category")]

    def bounce_word(self, raw: Any) -> Any:
        # What it dropped was not tried: the address was on one of its lists.
        return raw.get("type") if raw["event"] == "bounce" else ""

    def is_hard(self, event: AnymailTrackingEvent, word: str) -> bool:
        bounce_class = event.esp_event.get("bounce_classification", "")
        return super().is_hard(event, word) and bounce_class in _ABOUT_THE_ADDRESS
