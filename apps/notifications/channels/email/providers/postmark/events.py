"""Postmark's tracking events."""

from typing import Any

from anymail.signals import AnymailTrackingEvent
from anymail.webhooks.postmark import PostmarkTrackingWebhookView

from apps.notifications.channels.email.providers.anymail.events import AnymailEvents, without
from apps.notifications.channels.tracking import Kind


class Events(AnymailEvents):
    view = PostmarkTrackingWebhookView
    hard = frozenset({"HardBounce", "BadEmailAddress"})
    soft = frozenset({"SoftBounce"})

    def shaped(self, event: dict[str, Any]) -> Any:
        return without(event, "DeliveredAt", "BouncedAt", "ReceivedAt", "ChangedAt", "Tag")

    def kind(self, event: AnymailTrackingEvent) -> Kind | None:
        kind = super().kind(event)
        if kind is not None and event.esp_event.get("Type") == "SpamNotification":
            # Reported by a filter, not by a person; django-anymail takes it for a complaint.
            return Kind.BOUNCED
        return kind

    def bounce_word(self, raw: Any) -> Any:
        return raw.get("Type") or raw.get("SuppressionReason")
