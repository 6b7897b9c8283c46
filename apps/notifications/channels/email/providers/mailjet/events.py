"""Mailjet's tracking events."""

from typing import Any

from anymail.webhooks.mailjet import MailjetTrackingWebhookView

from apps.notifications.channels.email.providers.anymail.events import AnymailEvents, without


class Events(AnymailEvents):
    view = MailjetTrackingWebhookView
    hard = frozenset({"user unknown", "mailbox inactive"})
    soft = frozenset({"soft"})

    def shaped(self, event: dict[str, Any]) -> Any:
        if not isinstance(event.get("Payload", ""), str):
            # Set by another sender that uses the same account.
            del event["Payload"]
        if event.get("comment"):
            # Of a bounce it has the server's reply.
            event.setdefault("smtp_reply", event["comment"])
        return without(event, "time", "customcampaign")

    def bounce_word(self, raw: Any) -> Any:
        if raw["event"] != "bounce":
            return ""
        # Full mailboxes and unreachable domains are hard bounces, too: its reason tells them apart.
        return raw.get("error", "") if raw.get("hard_bounce") else "soft"
