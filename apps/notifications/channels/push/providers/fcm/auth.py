"""The access token for FCM: fetched with a service account, shared by all threads, renewed before it expires."""

import threading
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import urllib3
from firebase_admin import credentials
from google.auth.exceptions import GoogleAuthError, RefreshError

from apps.notifications.channels.outcome import Outcome, Result
from apps.notifications.channels.push.providers.fcm.outcomes import masked

READ_TIMEOUT = 5.0
"""Seconds to wait for the token endpoint's answer."""
RENEW_EARLY = 300.0
"""Seconds before its expiry at which a token is renewed; at half its lifetime if that is later."""
PAUSE = 5.0
"""Seconds without a fetch after a failed one: else each sender thread in turn waits for the timeout."""


class AuthError(Exception):
    """There is no valid token. `outcome`: the outcome of the send."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.code)
        self.outcome = outcome


class _Unreachable(Exception):
    pass


class _OneRequest:
    """google-auth's transport for one fetch. It fails where the library would sleep and retry."""

    def __init__(self, http: urllib3.PoolManager) -> None:
        self._http = http
        self._called = False

    def __call__(
        self, url: str, method: str = "GET", body: bytes | None = None, headers: Any = None, **_: Any
    ) -> urllib3.BaseHTTPResponse:
        if self._called:
            raise _Unreachable("the token endpoint requested a retry")
        self._called = True
        try:
            response = self._http.request(method, url, body=body, headers=headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise _Unreachable(str(error)) from error
        if response.status >= 500 or response.status == 429:
            raise _Unreachable(f"the token endpoint answered {response.status}")
        return response


class AccessTokens:
    """Thread-safe. Raises ValueError, with a sentence, if the service account's file can't be used."""

    def __init__(self, path: str, *, connect_timeout: float) -> None:
        try:
            self._account = credentials.Certificate(path).get_credential()
        except (OSError, ValueError, AttributeError) as error:
            raise ValueError(f"The FCM service account file {path} can't be used: {error}") from error
        timeout = urllib3.Timeout(connect=connect_timeout, read=READ_TIMEOUT)
        self._http = urllib3.PoolManager(num_pools=1, maxsize=1, timeout=timeout, retries=False)
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = self._ends_at = self._paused_until = 0.0
        self._error = Outcome(Result.DEFERRED, "auth_unreachable", provider_error=True)

    def current(self) -> str:
        """A valid token, fetched if necessary. Raises AuthError; blocks no longer than one fetch."""
        now = monotonic()
        if now < self._renew_at:
            return self._token
        # While the old token is valid, one thread renews it and the others use it.
        if not self._lock.acquire(blocking=now >= self._ends_at):
            return self._token
        try:
            if monotonic() >= max(self._renew_at, self._paused_until):
                try:
                    self._fetch()
                except AuthError as error:
                    self._error, self._paused_until = error.outcome, monotonic() + PAUSE
            if monotonic() >= self._ends_at:
                raise AuthError(self._error)
            return self._token
        finally:
            self._lock.release()

    def forget(self, token: str) -> None:
        """FCM refused `token`: the next send fetches a new one."""
        with self._lock:
            if token == self._token:
                self._renew_at = self._ends_at = 0.0

    def close(self) -> None:
        self._http.clear()

    def _fetch(self) -> None:
        try:
            self._account.refresh(_OneRequest(self._http))
            token, expiry = self._account.token, self._account.expiry
            life = (expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
            if not (isinstance(token, str) and token.isascii() and token.isprintable() and life > 0):
                raise ValueError("the token endpoint gave no usable token")
        except RefreshError as error:
            detail = masked(str(error.args[0] if error.args else error), "")
            raise AuthError(
                Outcome(Result.CONFIGURATION, "auth_refused", detail, provider_error=True)
            ) from error
        except (_Unreachable, GoogleAuthError, ValueError, TypeError, LookupError, AttributeError) as error:
            # The library parses the answer without checking its shape.
            detail = masked(str(error), "")
            raise AuthError(
                Outcome(Result.DEFERRED, "auth_unreachable", detail, provider_error=True)
            ) from error
        now = monotonic()
        self._token, self._ends_at = token, now + life
        self._renew_at = now + max(life - RENEW_EARLY, life / 2)
