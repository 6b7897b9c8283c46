"""MailerSend's tracking events."""

import hmac
import json
from typing import Any

from anymail.signals import AnymailTrackingEvent
from anymail.webhooks.mailersend import MailerSendTrackingWebhookView

from apps.notifications.channels.email.providers.anymail.events import AnymailEvents
from apps.notifications.channels.tracking import Kind, Post

PING_LIMIT = 4096
"""Octets of MailerSend's test request to the URL."""
_PING_KEY = b"test_Am3L1GuOIc4blLUuHqAPxxwkZaJyEk8G"
"""MailerSend signs its test request with this key before an own key exists: public, so it proves nothing."""
# Event types that django-anymail doesn't know: accepted, but then not sent.
_KINDS = {"activity.suppressed": Kind.BOUNCED, "activity.deferred": Kind.DELAYED}


class Events(AnymailEvents):
    view = MailerSendTrackingWebhookView
    view_argument = "signing_secret"
    hard = frozenset({"hard_bounced"})
    soft = frozenset({"soft_bounced"})

    def shaped(self, event: dict[str, Any]) -> Any | None:
        kind = event["type"]
        if kind != "inbound.message" and not kind.startswith("activity."):
            # About the account (a domain, a sender, a list was verified), or a ping.
            return None
        data = event.get("data")
        if kind.startswith("activity.") and isinstance(data, dict):
            data.setdefault("type", kind.removeprefix("activity."))
            if isinstance(data.get("email"), str):
                # The flat form of the event.
                data["email"] = {
                    "message": {"id": data.get("message_id")},
                    "recipient": {"email": data["email"]},
                }
        return event

    def kind(self, event: AnymailTrackingEvent) -> Kind | None:
        return super().kind(event) or _KINDS.get(event.esp_event["type"])

    def bounce_word(self, raw: Any) -> Any:
        return raw["data"]["type"]

    def is_ping(self, post: Post) -> bool:
        """It must be answered for the URL to be saved, and has no effect."""
        if len(post.body) > PING_LIMIT:
            return False
        signed = hmac.new(_PING_KEY, post.body, "sha256").hexdigest()
        if not hmac.compare_digest(signed.encode(), str(post.meta.get("HTTP_SIGNATURE", "")).encode()):
            return False
        try:
            event = json.loads(post.body)
        except (ValueError, RecursionError):
            return False
        return isinstance(event, dict) and event.get("type") == "webhook.test"
