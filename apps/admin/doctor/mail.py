"""The mail relay: connects, greets and signs in with the provider's own session code; sends nothing."""

import ssl
from collections.abc import Iterator
from time import monotonic
from typing import Any

from django.conf import settings

from apps.admin.doctor.findings import Finding, message_of, ok, sandboxed, skipped, warning, wrong
from apps.notifications.channels.email.providers.smtp.outcomes import Ended
from apps.notifications.channels.email.providers.smtp.session import Session
from apps.notifications.channels.email.providers.smtp.settings import SmtpSettings
from apps.notifications.channels.outcome import Outcome
from apps.notifications.channels.provider import ProviderKind
from apps.notifications.channels.sandbox import SANDBOX
from apps.notifications.routing.accounts import SCHEMES, Account, configured
from notifier.channels.email import EMAIL

SESSION_SECONDS = 10
QUIT_SECONDS = 2

_ERRORS = {
    "connect_failed": (
        "can't be reached",
        "Start the relay, correct the host and port, or allow the connection through the firewall.",
    ),
    "connect_timeout": (
        "does not answer",
        "Correct the host and port, or allow the connection through the firewall.",
    ),
    "host_unknown": ("has a host name that does not exist", "Correct the host."),
    "dns_failed": ("could not be looked up", "Check this machine's name servers."),
    "auth_failed": (
        "refuses the user name or password",
        "The password may be wrong, expired or revoked: get a new one, and restart the workers with it.",
    ),
    "certificate_invalid": (
        "shows a certificate that is not trusted",
        "Use the host name in the certificate, have it renewed, or give its CA file with ca=.",
    ),
    "tls_failed": (
        "does not support TLS as configured",
        "Compare tls= and the port with the relay's manual.",
    ),
    "session_refused": ("refuses the session", "Check the relay's list of allowed clients, and ehlo=."),
    "throttled": ("reports too many sign-ins", "Wait; lower WORKER_THREADS if it happens again."),
}
_OTHER = ("broke off the session", "Try again; if it persists, ask the relay's operator.")


def signs_in() -> list[Finding]:
    try:
        accounts = configured(EMAIL.code)
    except ValueError as error:
        return [wrong(f"EMAIL_PROVIDER_URL can't be used: {message_of(error)}.", "See docs/settings.md.")]
    if not accounts and settings.LOCAL:
        return [skipped("EMAIL_PROVIDER_URL is not set: `make run` starts its own mail catcher.")]
    if not accounts:
        return [warning("EMAIL_PROVIDER_URL is not set: emails wait.", "Set it, unless no email is sent.")]
    return [finding for account in accounts for finding in _signs_in(account)]


def _signs_in(account: Account) -> list[Finding]:
    kind = SCHEMES[EMAIL.code][account.scheme]
    if kind is SANDBOX:
        return [sandboxed("emails")]
    try:
        own = kind.settings_from_url(account.url)
        return _relay(own) if isinstance(own, SmtpSettings) else _has_key(account, kind, own)
    except (ValueError, OSError) as error:
        return [wrong(f"EMAIL_PROVIDER_URL can't be used: {message_of(error)}.", "See docs/settings.md.")]


def _relay(relay: SmtpSettings) -> list[Finding]:
    """Raises OSError where the file of its authorities can't be read."""
    context = None if relay.tls == "none" else ssl.create_default_context(cafile=relay.ca_file or None)
    where = f"{relay.host}:{relay.port}"
    try:
        session = Session(relay, context, monotonic() + SESSION_SECONDS)
    except Ended as ended:
        return [_refused(where, ended.outcome)]
    session.quit(monotonic() + QUIT_SECONDS)
    return [*_doubts(relay), ok(f"The mail relay at {where} accepts us{_as_whom(relay)}; nothing was sent.")]


def _has_key(account: Account, kind: ProviderKind[Any], own: Any) -> list[Finding]:
    try:
        kind.make(account.name, own).close()
    except OSError as error:
        return [
            wrong(f"The key of {account.name} can't be read: {message_of(error)}.", "Let this user read it.")
        ]
    sentence = (
        f"{account.name} has a key for {account.scheme}; the first email will show whether it is accepted."
    )
    return [ok(sentence)]


def _refused(where: str, outcome: Outcome) -> Finding:
    what, remedy = _ERRORS.get(outcome.code, _OTHER)
    return wrong(
        f"The mail relay at {where} {what} ({outcome.code}): {outcome.detail.rstrip('.')}.",
        f"{remedy} The setting is EMAIL_PROVIDER_URL.",
    )


def _doubts(relay: SmtpSettings) -> Iterator[Finding]:
    if relay.username and relay.tls == "none":
        yield warning("The mail relay's password is sent unencrypted.", "Use tls=starttls or smtps://.")


def _as_whom(relay: SmtpSettings) -> str:
    return f" as {relay.username}" if relay.username else ", without signing in"
