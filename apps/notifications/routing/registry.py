"""The provider accounts of each channel, made from the settings' URLs once a process."""

import threading
from typing import NamedTuple

from django.conf import settings

from apps.notifications.channels.email.providers.esp.provider import EspProvider
from apps.notifications.channels.email.providers.esp.settings import KEY_NAMES, EspSettings
from apps.notifications.channels.email.providers.smtp.provider import SmtpProvider
from apps.notifications.channels.email.providers.smtp.settings import SmtpSettings
from apps.notifications.channels.outcome import EmailProvider, PushProvider
from apps.notifications.channels.push.providers.fcm.provider import FcmProvider
from apps.notifications.channels.push.providers.fcm.settings import FcmSettings
from apps.notifications.channels.sandbox import SandboxProvider, SandboxSettings
from apps.notifications.channels.unusable import UnusableProvider
from apps.notifications.routing.accounts import SCHEMES, Account, accounts_in
from apps.users.channels import Channel

Provider = EmailProvider | PushProvider


class Ready(NamedTuple):
    """An account, and the provider object that sends through it."""

    account: Account
    provider: Provider


_SANDBOX = Ready(Account("sandbox"), SandboxProvider())
_lock = threading.Lock()
_made: dict[Account, Provider] = {}


def accounts_for(channel: str, *, live: bool) -> list[Ready]:
    """The channel's accounts; at least one, whose provider fails with the reason where none is usable. Test messages
    (not `live`) get the sandbox."""
    if not live:
        return [_SANDBOX]
    try:
        accounts = configured(channel)
    except ValueError as error:
        return [_unusable(Account(channel), "provider_unusable", str(error))]
    if not accounts:
        return [_unusable(Account(channel), "provider_not_configured", f"{setting_of(channel)} is not set.")]
    return [_ready(channel, account) for account in accounts]


def configured(channel: str) -> tuple[Account, ...]:
    """The channel's accounts by its setting, in the order written. Raises ValueError."""
    return accounts_in(channel, getattr(settings, setting_of(channel)))


def service_of(name: str) -> EspSettings | None:
    """The settings of the account with an email service; None where no such account has this name."""
    for account in configured(Channel.EMAIL):
        if account.name == name and account.scheme in KEY_NAMES:
            return EspSettings.from_url(account.url)
    return None


def setting_of(channel: str) -> str:
    """The name of the setting that lists the channel's accounts."""
    return f"{channel.upper()}_PROVIDER_URL"


def close_all() -> None:
    """Close all connections; the next use makes the providers anew, from the settings of that moment."""
    with _lock:
        for provider in _made.values():
            provider.close()
        _made.clear()


def _ready(channel: str, account: Account) -> Ready:
    with _lock:
        if account not in _made:
            try:
                _made[account] = _make(account.name, SCHEMES[channel][account.scheme](account.url))
            except (ValueError, OSError) as error:
                # Not cached: a missing file may be there the next time.
                return _unusable(account, "provider_unusable", str(error))
        return Ready(account, _made[account])


def _unusable(account: Account, code: str, detail: str) -> Ready:
    return Ready(account, UnusableProvider(account.name, code, detail))


def _make(name: str, own: SmtpSettings | FcmSettings | EspSettings | SandboxSettings) -> Provider:
    match own:
        case SmtpSettings():
            return SmtpProvider(name, own)
        case FcmSettings():
            return FcmProvider(name, own)
        case EspSettings():
            return EspProvider(name, own)
        case SandboxSettings():
            return SandboxProvider(name)
