"""The URL schemes of each channel's providers, and the settings classes that read these URLs."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from apps.notifications.channels.email.providers.esp.settings import KEY_NAMES, EspSettings
from apps.notifications.channels.email.providers.smtp.settings import SmtpSettings
from apps.notifications.channels.push.providers.fcm.settings import FcmSettings
from apps.notifications.channels.sandbox import SandboxSettings
from apps.notifications.routing.accounts import Account, parse
from apps.users.channels import Channel

SANDBOX = "sandbox"
SCHEMES: dict[str, dict[str, Callable[[str], Any]]] = {
    Channel.EMAIL: {
        "smtp": SmtpSettings.from_url,
        "smtps": SmtpSettings.from_url,
        **dict.fromkeys(KEY_NAMES, EspSettings.from_url),
        SANDBOX: SandboxSettings.from_url,
    },
    Channel.PUSH: {"fcm": FcmSettings.from_url, SANDBOX: SandboxSettings.from_url},
}


@lru_cache(maxsize=16)
def accounts_in(channel: str, text: str) -> tuple[Account, ...]:
    """The accounts in a provider setting's text. Raises ValueError with a message for the operator."""
    return tuple(parse(text, SCHEMES[channel]))
