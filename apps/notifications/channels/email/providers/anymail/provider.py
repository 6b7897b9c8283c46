"""Email through a service's HTTP API. django-anymail sends the request; the result becomes an `Outcome` here."""

import ssl
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import requests
from anymail.exceptions import AnymailError, AnymailRecipientsRefused
from anymail.message import AnymailMessage
from anymail.utils import parse_single_address
from django.core.mail import get_connection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from apps.notifications.channels.email.message import EmailMessage
from apps.notifications.channels.email.providers.anymail.settings import AnymailSettings
from apps.notifications.channels.outcome import DETAIL_LIMIT, MayCommit, Outcome, Result
from notifier.lib.email_addresses import sender
from notifier.lib.http.retry_after import retry_after

PATIENCE = 60.0
"""Seconds to wait after a 429 without Retry-After."""
_OUR_SETUP = {
    401: "auth_failed",
    403: "auth_failed",
    404: "not_found",
    405: "not_found",
    407: "proxy_refused",
}
_ACCEPTED = frozenset({"sent", "queued"})
_REFUSED = frozenset({"invalid", "rejected", "failed"})


class _LeaseLapsed(Exception):
    pass


class Exchange:
    """One thread's request and its answer: it asks before the request, and remembers that it was made."""

    def __init__(self) -> None:
        self.begin(lambda: False)

    def begin(self, may_commit: MayCommit) -> None:
        self._may_commit = may_commit
        self.made = False
        self.response: requests.Response | None = None

    def make(
        self, request: Callable[..., requests.Response], *arguments: Any, **options: Any
    ) -> requests.Response:
        """The answer to the request of a session. It follows no redirect, which would lead to another host than the
        configured one. Raises _LeaseLapsed before it."""
        if not self._may_commit():
            raise _LeaseLapsed
        self.made = True
        self.response = request(*arguments, **options, allow_redirects=False)
        return self.response


class AnymailProvider:
    """Thread-safe: each thread has an HTTP session of its own. Raises ValueError or OSError for settings that can't
    be used."""

    def __init__(self, name: str, settings: AnymailSettings) -> None:
        self.name = name
        self._service = settings.service
        self._backend = f"anymail.backends.{self._service.name}.EmailBackend"
        self._options = settings.backend_options()
        self._own = threading.local()
        self._generation = 0

    def send(self, message: EmailMessage, *, may_commit: MayCommit) -> Outcome:
        """One recipient, one request, no retry."""
        if parse_single_address(message.to).addr_spec != message.to or not self._may_be_sent_to(message.to):
            # `".kim"@…` would lose its quotes on the way, and be another address.
            detail = "The address can't be represented in the service's API."
            return Outcome(Result.PERMANENT, "address_invalid", detail, untried=True)
        backend, exchange = self._ready_backend()
        exchange.begin(may_commit)
        built = self._built(message)
        try:
            backend.send_messages([built])
            return self._accepted(built, exchange.response)
        except _LeaseLapsed:
            return Outcome(Result.DEFERRED, "lease_lapsed")
        except AnymailRecipientsRefused as error:
            return Outcome(Result.PERMANENT, "refused", self._masked_detail(error, exchange.response))
        except Exception as error:
            # The library assumes the shape of an answer, and may fail in any way on another.
            if exchange.made:
                return self._failed(error, exchange.response)
            if isinstance(error, AnymailError):
                # The message can't be represented in the service's API; another attempt changes nothing.
                detail = self._masked_detail(error, None)
                return Outcome(Result.PERMANENT, "invalid_message", detail, untried=True)
            raise

    def close(self) -> None:
        """Makes each thread open a new session for its next send."""
        self._generation += 1

    def _may_be_sent_to(self, address: str) -> bool:
        return self._service.smtputf8 or address.rpartition("@")[0].isascii()

    def _built(self, message: EmailMessage) -> Any:
        headers = {**message.headers, "Message-ID": message.message_id}
        built = AnymailMessage(
            subject=message.subject,
            body=message.text,
            from_email=str(sender(message.sender)),
            to=[message.to],
            headers={
                name: value
                for name, value in headers.items()
                if name.lower() not in self._service.refused_headers
            },
        )
        if self._service.returns_metadata:
            built.metadata = {"delivery_id": message.message_id.strip("<>").partition("@")[0]}
        if message.html:
            built.attach_alternative(message.html, "text/html")
        return built

    def _ready_backend(self) -> tuple[Any, Exchange]:
        own = self._own
        if getattr(own, "generation", None) != self._generation:
            if hasattr(own, "backend"):
                own.backend.close()
            own.exchange = Exchange()
            own.backend, own.generation = self._opened(own.exchange), self._generation
        return own.backend, own.exchange

    def _opened(self, exchange: Exchange) -> Any:
        """A backend of the calling thread's own, whose requests are made in the exchange."""
        backend: Any = get_connection(self._backend, **self._options)
        backend.open()
        backend.session.request = partial(exchange.make, backend.session.request)
        return backend

    def _accepted(self, built: Any, response: requests.Response | None) -> Outcome:
        status = built.anymail_status
        states = status.status or set()
        named = status.message_id
        message_id = str(named) if isinstance(named, str | int) and not isinstance(named, bool) else ""
        if response is not None and response.status_code >= 400:
            # Some services answer a refusal with a list of recipients, whose state may be unknown to the library.
            return self._failed(AnymailError(f"{response.status_code}: {response.text}"), response)
        if states & _REFUSED:
            return Outcome(Result.PERMANENT, "refused", f"The service's status: {', '.join(sorted(states))}.")
        # Every service names what it accepted; the library reads an empty answer of some as accepted, too.
        expected = self._service.accepts_with
        silent = expected and (response is None or response.status_code != expected)
        if not states or not states <= _ACCEPTED or not message_id or silent:
            detail = f"The service's status: {', '.join(sorted(map(str, states))) or 'nothing'}."
            return Outcome(Result.UNKNOWN, "unreadable_answer", detail)
        return Outcome(Result.SENT, "accepted", provider_message_id=message_id[:200])

    def _failed(self, error: Exception, response: requests.Response | None) -> Outcome:
        """The outcome of a request that the library raised for."""
        detail = self._masked_detail(error, response)
        if response is None:
            return _broken(error, detail)
        status = self._service.status_of(response) or response.status_code
        if status < 300:
            # Accepted, or so it seems, with an answer that can't be parsed.
            return Outcome(Result.UNKNOWN, "unreadable_answer", detail)
        if status == 429:
            wait = retry_after(response.headers, default=PATIENCE)
            return Outcome(Result.DEFERRED, "throttled", detail, wait=wait)
        if status in _OUR_SETUP:
            return Outcome(Result.CONFIGURATION, _OUR_SETUP[status], detail, provider_error=True)
        if 300 <= status < 400:
            return Outcome(Result.CONFIGURATION, "redirected", detail, provider_error=True)
        if status == 408 or status >= 500:
            wait = retry_after(response.headers, default=0.0)
            return Outcome(Result.RETRY, "server_error", detail, wait=wait or None, provider_error=True)
        return Outcome(Result.PERMANENT, "refused", detail)

    def _masked_detail(self, error: Exception, response: requests.Response | None) -> str:
        """The error in one line, without the account's secrets, as they are or as the request had them."""
        text = " ".join(str(error).split()) or type(error).__name__
        secrets = [value for option, value in self._options.items() if option.endswith(("key", "token"))]
        if response is not None:
            secrets += response.request.headers.get("Authorization", "").split()[-1:]
        for secret in filter(None, secrets):
            text = text.replace(secret, "***")
        return text[:DETAIL_LIMIT]


def object_in(response: requests.Response) -> dict[str, Any]:
    """The JSON object of an answer; empty where it has none."""
    try:
        value = response.json()
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _broken(error: BaseException, detail: str) -> Outcome:
    """The outcome of a request without an answer: unknown, unless the connection was never established."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, NewConnectionError | ConnectTimeoutError | NameResolutionError):
            return Outcome(Result.DEFERRED, "connect_failed", detail, provider_error=True)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Outcome(Result.CONFIGURATION, "certificate_invalid", detail, provider_error=True)
        reason = getattr(cause.args[0], "reason", None) if cause.args else None
        cause = reason if isinstance(reason, Exception) else cause.__cause__ or cause.__context__
    late = isinstance(error, requests.Timeout)
    code = "read_timeout" if late else "connection_lost"
    return Outcome(Result.UNKNOWN, code, detail, provider_error=True)
