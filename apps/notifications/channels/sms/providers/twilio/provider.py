"""How a text is posted to Twilio's Messages API."""

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from apps.notifications.channels.outcome import Outcome
from apps.notifications.channels.sms.message import SmsMessage
from apps.notifications.channels.sms.providers.gateway import Request
from apps.notifications.channels.sms.providers.twilio.outcomes import outcome_of
from apps.notifications.channels.sms.providers.twilio.settings import TwilioSettings
from notifier.lib.http.client import Answer

LONGEST = 36_000
"""Seconds: the longest that Twilio keeps a text which it can't deliver at once."""


class TwilioDialect:
    """`report_to`: the URL to which Twilio posts what becomes of a text; empty: it posts nothing."""

    def __init__(self, settings: TwilioSettings, key: str, report_to: str) -> None:
        self.base_url = settings.api_url
        self._signed_in = b64encode(f"{settings.account}:{key}".encode()).decode()
        self.secrets: tuple[str, ...] = (self._signed_in, key)
        self._path = f"/2010-04-01/Accounts/{settings.account}/Messages.json"
        self._fixed = {
            **({"From": settings.sender} if settings.sender else {}),
            **({"MessagingServiceSid": settings.messaging_service} if settings.messaging_service else {}),
            **({"StatusCallback": report_to} if report_to else {}),
        }

    def request(self, message: SmsMessage) -> Request:
        fields = {**self._fixed, "To": message.to, "Body": message.text}
        if message.expires_at is not None:
            left = (message.expires_at - datetime.now(UTC)).total_seconds()
            fields["ValidityPeriod"] = str(min(LONGEST, max(1, int(left))))
        headers = {
            "Authorization": f"Basic {self._signed_in}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        return Request(self._path, headers, urlencode(fields).encode())

    def outcome_of(self, answer: Answer, body: Any, message: SmsMessage) -> Outcome | None:
        return outcome_of(answer, body)
