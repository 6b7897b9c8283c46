"""Postal's tracking events."""

from typing import Any

from anymail.signals import AnymailTrackingEvent
from anymail.webhooks.postal import PostalTrackingWebhookView

from apps.notifications.channels.email.providers.anymail.events import AnymailEvents, without
from apps.notifications.channels.email.refusals import GONE, reported
from apps.notifications.channels.tracking import Kind

# Event types that django-anymail doesn't know.
_KINDS = {"MessageLoaded": Kind.OPENED}


class Events(AnymailEvents):
    """Of two kinds of end, only "HardFail" quotes a reply; the other is a bounce that came as mail."""

    view = PostalTrackingWebhookView
    view_argument = "webhook_key"

    def shaped(self, event: dict[str, Any]) -> Any:
        return without(event, "timestamp")

    def kind(self, event: AnymailTrackingEvent) -> Kind | None:
        return super().kind(event) or _KINDS.get(event.esp_event.get("event"))

    def is_hard(self, event: AnymailTrackingEvent, word: str) -> bool:
        # A hard failure may be the last of many attempts: only the reply says that the address is dead.
        return reported("", str(event.mta_response or "")) in GONE
