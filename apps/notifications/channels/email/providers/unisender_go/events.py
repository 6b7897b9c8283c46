"""Unisender Go's tracking events."""

import hashlib
import hmac
import json
import re
from typing import Any

from anymail.signals import AnymailTrackingEvent
from anymail.webhooks.unisender_go import UnisenderGoTrackingWebhookView

from apps.notifications.channels.email.providers.anymail.events import AnymailEvents, without
from apps.notifications.channels.tracking import Kind, Post, Unverified

_AUTH = re.compile(rb'"auth"\s*:\s*"([0-9a-f]{32})"')
_STATUS_EVENT = "transactional_email_status"


class _View(UnisenderGoTrackingWebhookView):  # type: ignore[misc]
    def run_validators(self, request: Any) -> None:
        """The body contains the MD5 of itself with the key in its place. The library finds that place in the parsed
        body: it would parse what nobody signed, and where the hash is escaped no key would be in what it hashes."""
        found = _AUTH.search(request.body)
        if found is None or request.body.count(found[1]) != 1:
            raise Unverified
        signed = request.body[: found.start(1)] + self.api_key_bytes + request.body[found.end(1) :]
        expected = hashlib.md5(signed, usedforsecurity=False).hexdigest()
        if not hmac.compare_digest(expected.encode(), found[1]):
            raise Unverified


class Events(AnymailEvents):
    """They are signed with the API key itself."""

    view = _View
    view_argument = "api_key"
    hard = frozenset({"err_user_unknown", "err_user_inactive"})

    def split(self, post: Post) -> list[Any]:
        """Of both forms: events of a user, and a single one, whose fields stand beside each other."""
        value = json.loads(post.body)
        if not isinstance(value, dict) or "events_by_user" not in value:
            return [value]
        return [
            {**one["event_data"], "event_name": one["event_name"]} if isinstance(one, dict) else one
            for user in value["events_by_user"]
            for one in user["events"]
        ]

    def shaped(self, event: dict[str, Any]) -> Any | None:
        # The others are about its own servers.
        return without(event, "auth", "event_time") if event["event_name"] == _STATUS_EVENT else None

    def kind(self, event: AnymailTrackingEvent) -> Kind | None:
        if event.esp_event["status"] == "soft_bounced" and event.description != "err_will_retry":
            return Kind.SOFT_BOUNCE
        return super().kind(event)

    def bounce_word(self, raw: Any) -> Any:
        return raw.get("delivery_info", {}).get("delivery_status", "")
