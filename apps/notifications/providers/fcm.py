"""Push through Firebase Cloud Messaging (HTTP v1), one device a request.

firebase-admin supplies credentials and the message's encoding. The HTTP is ours: its client sleeps through a
429 and sends a POST again after a broken connection, which makes a second push.
"""

import hashlib
import re
import threading
from typing import Any

import urllib3
from firebase_admin import messaging

from apps.notifications.providers.base import MayCommit, Outcome, PushMessage, Result
from apps.notifications.providers.fcm_auth import AccessTokens, AuthFault
from apps.notifications.providers.fcm_outcomes import masked, outcome_of
from apps.notifications.providers.fcm_settings import FcmSettings

POOL_TIMEOUT = 2
"""Seconds to wait for one of the pool's connections."""
COLLAPSE_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
"""What all three take; the web's Topic is the narrowest."""


def encode(message: PushMessage) -> bytes:
    """The request's body. Raises ValueError where the message breaks FCM's rules."""
    collapse = message.collapse_id
    if not COLLAPSE_ID.fullmatch(collapse):
        collapse = hashlib.sha256(collapse.encode()).hexdigest()[:32]
    # FCM refuses a web push whose link is not https; apps take any from the data.
    link = message.link if message.link.startswith("https://") else None
    built = messaging.Message(
        data={**({"link": message.link} if message.link else {}), **message.data},
        notification=messaging.Notification(message.title, message.body, message.image or None),
        android=messaging.AndroidConfig(collapse_key=collapse),
        apns=messaging.APNSConfig(headers={"apns-collapse-id": collapse}),
        webpush=messaging.WebpushConfig(
            headers={"Topic": collapse},
            fcm_options=messaging.WebpushFCMOptions(link) if link else None,
        ),
    )
    # As an argument it warns of deprecation; FCM's own clients still register tokens.
    built.token = message.token
    return f'{{"message": {built}}}'.encode()


class _LeaseLapsed(Exception):
    pass


class _Turn(threading.local):
    """What the connection in this thread's hands must ask, and whether it began to write."""

    may_commit: MayCommit
    begun = False


def _asking(connection: type[Any], turn: _Turn) -> type[Any]:
    """`connection` that is open before it asks to commit, so that a failure to connect is known as such."""

    class Asking(connection):  # type: ignore[misc]
        def request(self, *args: Any, **kwargs: Any) -> None:
            if self.is_closed:
                self.connect()
            if not turn.may_commit():
                raise _LeaseLapsed
            turn.begun = True
            super().request(*args, **kwargs)

    return Asking


class FcmProvider:
    """Safe to share between threads. Raises ValueError if the credentials can't be used."""

    def __init__(self, name: str, settings: FcmSettings) -> None:
        self.name = name
        timeout = urllib3.Timeout(connect=settings.connect_timeout, read=settings.read_timeout)
        self._path = f"/v1/projects/{settings.project_id}/messages:send"
        self._turn = _Turn()
        self._tokens = AccessTokens(settings.credentials, connect_timeout=settings.connect_timeout)
        self._pool = urllib3.connection_from_url(
            settings.base_url, maxsize=settings.pool_size, block=True, timeout=timeout, retries=False
        )
        self._pool.ConnectionCls = _asking(self._pool.ConnectionCls, self._turn)

    def send(self, message: PushMessage, *, may_commit: MayCommit) -> Outcome:
        """One device, one request, never a second try."""
        try:
            body = encode(message)
        except ValueError as error:
            return Outcome(Result.PERMANENT, "invalid_message", masked(str(error), message.token))
        try:
            access = self._tokens.current()
        except AuthFault as fault:
            return fault.outcome
        self._turn.may_commit, self._turn.begun = may_commit, False
        headers = {"Authorization": f"Bearer {access}", "Content-Type": "application/json; charset=utf-8"}
        try:
            response = self._pool.urlopen(
                "POST", self._path, body, headers, redirect=False, pool_timeout=POOL_TIMEOUT
            )
        except _LeaseLapsed:
            return Outcome(Result.DEFERRED, "lease_lapsed")
        except urllib3.exceptions.EmptyPoolError:
            return Outcome(Result.DEFERRED, "pool_exhausted", "every connection to FCM is in use")
        except urllib3.exceptions.HTTPError as error:
            return self._broken(error, message.token)
        if response.status == 401:
            self._tokens.forget(access)
        return outcome_of(response.status, response.data, response.headers, token=message.token)

    def close(self) -> None:
        self._pool.close()
        self._tokens.close()

    def _broken(self, error: Exception, token: str) -> Outcome:
        detail = masked(str(error), token)
        if not self._turn.begun:
            return Outcome(Result.DEFERRED, "connect_failed", detail, provider_fault=True)
        code = "read_timeout" if isinstance(error, urllib3.exceptions.ReadTimeoutError) else "connection_lost"
        return Outcome(Result.UNKNOWN, code, detail, provider_fault=True)
