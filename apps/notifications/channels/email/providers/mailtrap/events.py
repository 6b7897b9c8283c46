"""Mailtrap's tracking events."""

import json
from typing import Any

from anymail.signals import AnymailTrackingEvent
from anymail.webhooks.mailtrap import MailtrapTrackingWebhookView

from apps.notifications.channels.email.providers.anymail.events import AnymailEvents
from apps.notifications.channels.tracking import Kind, Post

# A server's refusal, which django-anymail takes for a delay like Mailtrap's own.
_KINDS = {"soft bounce": Kind.SOFT_BOUNCE}


class Events(AnymailEvents):
    view = MailtrapTrackingWebhookView
    view_argument = "tracking_secret"
    hard = frozenset({"bounce"})

    def split(self, post: Post) -> list[Any]:
        value = json.loads(post.body)
        events = value.get("events") if isinstance(value, dict) else None
        return events if isinstance(events, list) else [value]

    def shaped(self, event: dict[str, Any]) -> Any:
        return {"events": [event | {"timestamp": 0}]}

    def kind(self, event: AnymailTrackingEvent) -> Kind | None:
        return _KINDS.get(event.esp_event["event"]) or super().kind(event)

    def bounce_word(self, raw: Any) -> Any:
        return raw["event"]
