"""Mailgun's tracking events."""

import json
import re
import time
from typing import Any

from anymail.signals import AnymailTrackingEvent, RejectReason
from anymail.webhooks.mailgun import MailgunTrackingWebhookView

from apps.notifications.channels.email.providers.anymail.events import AnymailEvents, without
from apps.notifications.channels.tracking import Kind, Unverified, key_of

MAILGUN_TRIES_FOR_SECONDS = 24 * 3600
"""Mailgun retries for eight hours. An older signature may have been copied from a log."""
UNUSED = ("timestamp", "tags", "client-info")


class _View(MailgunTrackingWebhookView):  # type: ignore[misc]
    def run_validators(self, request: Any) -> None:
        super().run_validators(request)
        form = request.content_type != "application/json"
        stamp = str((request.POST if form else json.loads(request.body)["signature"])["timestamp"])
        # Time and token are signed as one string: with digits alone the time can't include the token's letters.
        if (
            not re.fullmatch(r"[0-9]{1,12}", stamp)
            or abs(time.time() - int(stamp)) > MAILGUN_TRIES_FOR_SECONDS
        ):
            raise Unverified


class Events(AnymailEvents):
    """The signature is in the body: one event a post. Its older webhooks post forms."""

    forms = True
    signed_inside = True
    view = _View
    view_argument = "webhook_signing_key"

    def shaped(self, event: dict[str, Any]) -> Any:
        if isinstance(data := event.get("event-data"), dict):
            event["event-data"] = without(data, *UNUSED)
        return without(event, *UNUSED)

    def is_hard(self, event: AnymailTrackingEvent, word: str) -> bool:
        # Mailgun calls every refusal permanent; its reasons are what django-anymail has sorted.
        return bool(event.reject_reason == RejectReason.BOUNCED)

    def key(self, kind: Kind, event: AnymailTrackingEvent, raw: str) -> str:
        # The signature covers the id and not the body: with another body it is still the same event.
        return key_of(event.event_id)
