"""Mandrill's tracking events."""

import json
from typing import Any
from urllib.parse import parse_qs, urlencode

from anymail.signals import AnymailTrackingEvent
from anymail.webhooks.mandrill import MandrillCombinedWebhookView

from apps.notifications.channels.email.providers.anymail.events import AnymailEvents
from apps.notifications.channels.tracking import Kind, Post

_FIELD = "mandrill_events"
_PINGS = frozenset({b"mandrill_events=[]", b"mandrill_events=%5B%5D"})
"""Mandrill's test of the URL, before there is a key: a list of no events."""
_DEAD = frozenset({"", "bad_mailbox"})
"""What it calls a hard bounce of a mailbox; others are domains, and refusals that it could not read."""


class _View(MandrillCombinedWebhookView):  # type: ignore[misc]
    def parse_events(self, request: Any) -> list[Any]:
        return [self.esp_to_anymail_event(json.loads(request.body))]


class Events(AnymailEvents):
    """A form with one field, which is a list of events. What is signed is the URL and the form."""

    forms = True
    view = _View
    view_argument = "webhook_key"
    hard = frozenset({"hard_bounce"})
    soft = frozenset({"soft_bounce"})

    def is_ping(self, post: Post) -> bool:
        return post.form and post.body in _PINGS

    def verify(self, post: Post) -> None:
        if self._view is not None:
            self._view.webhook_url = post.url
        super().verify(post)

    def split(self, post: Post) -> list[Any]:
        (events,) = parse_qs(post.body.decode(), keep_blank_values=True)[_FIELD]
        value = json.loads(events)
        return value if isinstance(value, list) else [value]

    def apart(self, event: Any) -> bytes:
        return urlencode({_FIELD: json.dumps([event])}).encode()

    def shaped(self, event: dict[str, Any]) -> Any | None:
        # The others are about its lists of addresses.
        event.pop("ts", None)
        return event if "event" in event else None

    def kind(self, event: AnymailTrackingEvent) -> Kind | None:
        delivered = event.esp_event["event"] == "delivered"
        return Kind.DELIVERED if delivered else super().kind(event)

    def bounce_word(self, raw: Any) -> Any:
        return raw["event"]

    def is_hard(self, event: AnymailTrackingEvent, word: str) -> bool:
        described = event.esp_event.get("msg", {}).get("bounce_description", "")
        return super().is_hard(event, word) and described in _DEAD
