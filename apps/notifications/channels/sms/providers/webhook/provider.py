"""How a text is posted to a gateway, and what its answer means."""

import json
import time
from typing import Any

from apps.notifications.channels.outcome import Outcome, Result
from apps.notifications.channels.sms.message import SmsMessage
from apps.notifications.channels.sms.providers.gateway import Request, detail_of
from apps.notifications.channels.sms.providers.webhook.settings import WebhookSettings
from notifier.channels.sms import encoding, segments
from notifier.lib.http.client import Answer
from notifier.lib.http.standard_webhooks import signature

GONE = frozenset({"number_invalid", "not_mobile", "opted_out"})
"""Codes by which a gateway says, in a refusal, that nothing reaches this number."""


class WebhookDialect:
    def __init__(self, settings: WebhookSettings, secret: str, key: bytes) -> None:
        self.base_url = settings.base_url
        self.secrets: tuple[str, ...] = (secret, secret.removeprefix("whsec_"))
        self._settings, self._key = settings, key

    def request(self, message: SmsMessage) -> Request:
        now = int(time.time())
        data = {
            "id": message.delivery_id,
            "to": message.to,
            "from": self._settings.sender,
            "text": message.text,
            "encoding": encoding(message.text),
            "segments": segments(message.text),
            "expires_at": message.expires_at.isoformat() if message.expires_at else None,
        }
        body = json.dumps({"type": "sms.send", "timestamp": now, "data": data}, ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json",
            # The same for every attempt: by it a gateway knows a text that it has taken before.
            "webhook-id": message.delivery_id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature(
                self._key, message_id=message.delivery_id, timestamp=now, body=body
            ),
        }
        return Request(self._settings.path, headers, body)

    def outcome_of(self, answer: Answer, body: Any, message: SmsMessage) -> Outcome | None:
        refusal = body if isinstance(body, dict) else {}
        if 200 <= answer.status < 300:
            own = refusal.get("id")
            return Outcome(
                Result.SENT,
                "accepted",
                provider_message_id=own[:64] if isinstance(own, str) and own else message.delivery_id,
            )
        code = refusal.get("code")
        if 400 <= answer.status < 500 and isinstance(code, str) and code in GONE:
            return Outcome(Result.PERMANENT, code, detail_of(answer), recipient_gone=True)
        return None
