"""Brevo's tracking events."""

import json
from typing import Any

from anymail.webhooks.brevo import BrevoTrackingWebhookView

from apps.notifications.channels.email.providers.anymail.events import AnymailEvents, without


class Events(AnymailEvents):
    view = BrevoTrackingWebhookView
    hard = frozenset({"hard_bounce", "invalid_email"})
    soft = frozenset({"soft_bounce"})

    def shaped(self, event: dict[str, Any]) -> Any:
        try:
            json.loads(event.get("X-Mailin-custom", "{}"))
        except (TypeError, ValueError):
            # Set by another sender that uses the same account.
            del event["X-Mailin-custom"]
        return without(event, "ts_epoch", "tags", "tag")

    def bounce_word(self, raw: Any) -> Any:
        return raw.get("event")
