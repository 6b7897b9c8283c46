"""What the URLs of the two channels' providers begin with, and what reads them."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from apps.notifications.providers.accounts import Account, parse
from apps.notifications.providers.esp_settings import KEY_NAMES, EspSettings
from apps.notifications.providers.fcm_settings import FcmSettings
from apps.notifications.providers.sandbox import SandboxSettings
from apps.notifications.providers.smtp_settings import SmtpSettings
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
    """The accounts in a provider setting's text. Raises ValueError with a sentence."""
    return tuple(parse(text, SCHEMES[channel]))
