"""SparkPost's tracking events."""

from typing import Any

from anymail.webhooks.sparkpost import SparkPostTrackingWebhookView

from apps.notifications.channels.email.providers.anymail.events import AnymailEvents


class Events(AnymailEvents):
    view = SparkPostTrackingWebhookView
    hard = frozenset({"10", "30"})
    soft = frozenset({"20", "21", "22", "23", "24", "40", "70"})

    def shaped(self, event: dict[str, Any]) -> Any | None:
        for fields in event["msys"].values():
            if isinstance(fields, dict) and isinstance(fields.get("bounce_class"), int):
                fields["bounce_class"] = str(fields["bounce_class"])
        return [event] if event["msys"] else None

    def bounce_word(self, raw: Any) -> Any:
        return next(iter(raw["msys"].values())).get("bounce_class")
