"""Provider accounts that can't be tried without sending something: whether their settings can be used at all."""

from django.conf import settings

from apps.admin.doctor.findings import Finding, message_of, ok, sandboxed, skipped, warning, wrong
from apps.notifications.channels.sandbox import SANDBOX
from apps.notifications.routing.accounts import SCHEMES, Account, configured, setting_of
from notifier.channels.registry import CHANNELS


def usable(channel: str) -> list[Finding]:
    name = setting_of(channel)
    try:
        accounts = configured(channel)
    except ValueError as error:
        return [wrong(f"{name} can't be used: {message_of(error)}.", "See docs/settings.md.")]
    if not accounts:
        return [skipped(f"{name} is not set: messages by {CHANNELS[channel].label} wait.")]
    return [finding for account in accounts for finding in _usable(channel, account)]


def _usable(channel: str, account: Account) -> list[Finding]:
    kind, name = SCHEMES[channel][account.scheme], setting_of(channel)
    if kind is SANDBOX:
        return [sandboxed(f"messages by {CHANNELS[channel].label}")]
    try:
        own = kind.settings_from_url(account.url)
        kind.make(account.name, own).close()
    except (ValueError, OSError) as error:
        return [
            wrong(
                f"The account {account.name} can't be used: {message_of(error)}.",
                f"Correct {name}, or let this user read the file.",
            )
        ]
    if kind.events is not None and not settings.PUBLIC_URL:
        return [
            warning(
                f"The account {account.name} has nowhere to report to: no delivery is confirmed, no answer is heard.",
                "Set PUBLIC_URL.",
            )
        ]
    return [ok(f"The account {account.name} can be used; nothing was sent.")]
