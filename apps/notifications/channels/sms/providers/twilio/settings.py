"""One account with Twilio, from a URL."""

import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from apps.notifications.channels.sms.providers.gateway import (
    ANSWER_SECONDS,
    options_of,
    take_secret,
    take_timeout,
)

TWILIO = "https://api.twilio.com"
KNOWN = ("api_url", "from", "key", "key_file", "messaging_service", "timeout")
_NUMBER = re.compile(r"[\s+]?(\d{3,15})", re.ASCII)


@dataclass(frozen=True, slots=True)
class TwilioSettings:
    """`account`: its SID. `key`: its auth token, which also signs its posts. `sender`: a number in E.164, a short
    code or a name; else `messaging_service`, the SID of one. `timeout`: seconds for the answer."""

    account: str
    key: str = field(default="", repr=False)
    key_file: str = ""
    sender: str = ""
    messaging_service: str = ""
    api_url: str = TWILIO
    timeout: float = ANSWER_SECONDS

    @classmethod
    def from_url(cls, url: str) -> Self:
        """`twilio://ACCOUNT_SID?key=…&from=+14155550123`; `key_file`, `messaging_service` in place of `from`,
        `api_url` and `timeout`. Raises ValueError with a sentence that repeats no secret."""
        try:
            parts = urlsplit(url)
            account = parts.netloc
        except ValueError:
            raise ValueError(
                "a twilio URL can't be read; it is like twilio://ACCOUNT_SID?key=…&from=…"
            ) from None
        if not re.fullmatch(r"AC[0-9a-fA-F]{32}", account) or parts.path not in ("", "/") or parts.fragment:
            raise ValueError(
                "a twilio URL begins with the account's SID (AC and 32 hex digits): twilio://AC…?key=…&from=…"
            )
        options = options_of(url, "twilio")
        if not options.keys() <= set(KNOWN):
            raise ValueError(f"a twilio URL has no options but {', '.join(KNOWN)} (write & in a key as %26)")
        key, key_file = take_secret(options, "twilio", "key")
        timeout = take_timeout(options, "twilio")
        sender, service = options.get("from", ""), options.get("messaging_service", "")
        if bool(sender) == bool(service):
            raise ValueError("a twilio URL needs either from= or messaging_service=")
        if service and not re.fullmatch(r"MG[0-9a-fA-F]{32}", service):
            raise ValueError("a twilio URL's messaging_service= is MG and 32 hex digits")
        if sender and not re.fullmatch(r"[\s+]?\d{3,15}|[A-Za-z0-9 ]{1,11}", sender, re.ASCII):
            raise ValueError("a twilio URL's from= is a number, or a name of up to 11 letters and digits")
        api_url = options.get("api_url", TWILIO).rstrip("/")
        if not re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+", api_url):
            raise ValueError("a twilio URL's api_url= is like https://api.twilio.com")
        return cls(account, key, key_file, _sender(sender), service, api_url, timeout)


def _sender(text: str) -> str:
    """A number's + is a space in a URL that does not encode it; a short code has none."""
    digits = _NUMBER.fullmatch(text)
    if digits is None:
        return text
    return digits[1] if len(digits[1]) <= 6 else f"+{digits[1]}"
