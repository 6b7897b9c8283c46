"""Push through Firebase Cloud Messaging (HTTP v1), one request for each device.

firebase-admin supplies credentials and the message's encoding. HTTP is done here: its client sleeps on a 429 and
repeats a POST after a broken connection, which may deliver a second push.
"""

import hashlib
import math
import re
from datetime import UTC, datetime

from firebase_admin import messaging

from apps.notifications.channels.outcome import MayCommit, Outcome, Result
from apps.notifications.channels.push.message import PushMessage
from apps.notifications.channels.push.providers.fcm.auth import AccessTokens, AuthError
from apps.notifications.channels.push.providers.fcm.outcomes import masked, outcome_of
from apps.notifications.channels.push.providers.fcm.settings import FcmSettings
from notifier.lib.http.client import HttpPool, Interrupted, NotConnected, PoolExhausted, ReadTimedOut

COLLAPSE_KEY = re.compile(r"[A-Za-z0-9_-]{1,32}")
"""What Android, Apple and web push all accept; the web's Topic is the strictest."""
LONGEST = 4 * 7 * 24 * 3600
"""Seconds: the longest time to live that FCM accepts."""


def encode(message: PushMessage, now: datetime) -> bytes:
    """The request's body. Raises ValueError for a message that breaks FCM's rules."""
    apns, web, seconds = {}, {}, None
    if message.expires_at is not None:
        # Rounded down to whole seconds, the unit of all three platforms. 0: deliver at once or not at all.
        seconds = min(LONGEST, max(0, math.floor((message.expires_at - now).total_seconds())))
        apns["apns-expiration"] = str(math.floor(message.expires_at.timestamp()))
        web["TTL"] = str(seconds)
    collapse = message.collapse_key
    if collapse and not COLLAPSE_KEY.fullmatch(collapse):
        collapse = hashlib.sha256(collapse.encode()).hexdigest()[:32]
    if collapse:
        apns["apns-collapse-id"] = web["Topic"] = collapse
    # FCM refuses a web push whose link is not https; apps read any link from the data.
    link = message.link if message.link.startswith("https://") else None
    options = messaging.WebpushFCMOptions(link) if link else None
    built = messaging.Message(
        data={**({"link": message.link} if message.link else {}), **message.data},
        notification=messaging.Notification(message.title, message.body, message.image or None),
        android=messaging.AndroidConfig(collapse_key=collapse or None, ttl=seconds),
        apns=messaging.APNSConfig(headers=apns) if apns else None,
        webpush=messaging.WebpushConfig(headers=web or None, fcm_options=options) if web or options else None,
    )
    # As an argument it emits a deprecation warning; FCM's own clients still register tokens.
    built.token = message.token
    return f'{{"message": {built}}}'.encode()


class FcmProvider:
    """Thread-safe. Raises ValueError if the credentials can't be used."""

    def __init__(self, name: str, settings: FcmSettings) -> None:
        self.name = name
        self._path = f"/v1/projects/{settings.project_id}/messages:send"
        self._tokens = AccessTokens(settings.credentials, connect_timeout=settings.connect_timeout)
        self._pool = HttpPool(
            settings.base_url,
            size=settings.pool_size,
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
        )

    def send(self, message: PushMessage, *, may_commit: MayCommit) -> Outcome:
        """One device, one request, no retry."""
        try:
            body = encode(message, datetime.now(UTC))
        except ValueError as error:
            return Outcome(
                Result.PERMANENT, "invalid_message", masked(str(error), message.token), untried=True
            )
        try:
            access = self._tokens.current()
        except AuthError as error:
            return error.outcome
        headers = f"Authorization: Bearer {access}\r\nContent-Type: application/json; charset=utf-8\r\n"
        try:
            answer = self._pool.post(self._path, body, headers, commit=may_commit)
        except PoolExhausted:
            return Outcome(Result.DEFERRED, "pool_exhausted", "every connection to FCM is in use")
        except NotConnected as error:
            detail = masked(str(error), message.token)
            return Outcome(Result.DEFERRED, "connect_failed", detail, provider_error=True)
        except Interrupted as error:
            code = "read_timeout" if isinstance(error, ReadTimedOut) else "connection_lost"
            return Outcome(Result.UNKNOWN, code, masked(str(error), message.token), provider_error=True)
        if answer is None:
            return Outcome(Result.DEFERRED, "lease_lapsed")
        if answer.status == 401:
            self._tokens.forget(access)
        # A gateway on the way may repeat what it refuses.
        body = answer.body.replace(access.encode(), b"***")
        return outcome_of(answer.status, body, answer.headers, token=message.token)

    def close(self) -> None:
        self._pool.close()
        self._tokens.close()
