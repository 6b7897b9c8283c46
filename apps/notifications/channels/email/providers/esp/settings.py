"""One account with an email service's HTTP API, from a URL."""

import base64
import binascii
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

KEY_NAMES = {
    "brevo": "api_key",
    "mailersend": "api_token",
    "mailgun": "api_key",
    "postmark": "server_token",
    "resend": "api_key",
    "sparkpost": "api_key",
}
"""The services, and the name of their key in django-anymail. SendGrid's API is missing: django-anymail dropped it;
its SMTP relay works like any other."""
TIMEOUT = 15.0
SHORTEST_SECRET = 16
"""Characters of the secret that verifies tracking events: whoever guesses it can suppress addresses."""
EVENT_SECRETS = {
    "brevo": "webhook_secret",
    "mailersend": "webhook_key",
    "mailgun": "webhook_key",
    "postmark": "webhook_secret",
    "resend": "webhook_key",
    "sparkpost": "webhook_secret",
}
"""The option that verifies a service's events: its signing key, or `user:password` of HTTP basic authentication."""
WITHOUT_METADATA = frozenset({"mailersend"})
"""Services that don't return metadata with their events, which name the message by the service's own id instead."""
EXTRAS = {"mailgun": {"sender_domain"}, "postmark": {"message_stream"}}


@dataclass(frozen=True, slots=True)
class EspSettings:
    """`service`: a key of `KEY_NAMES`. `options`: further arguments of the service's django-anymail backend.
    `timeout`: seconds for the connection, and again for the answer. `webhook`: the secret that verifies its tracking
    events; empty where none are accepted."""

    service: str
    key: str = field(default="", repr=False)
    key_file: str = ""
    timeout: float = TIMEOUT
    options: tuple[tuple[str, str], ...] = ()
    webhook: str = field(default="", repr=False)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """`postmark://?key=…` or `?key_file=/path`; `api_url`, `timeout`, the secret of its events
        and the service's own options may follow. Raises ValueError with a sentence that repeats no secret."""
        parts = urlsplit(url)
        if parts.scheme not in KEY_NAMES:
            raise ValueError(f"the email service must be one of {', '.join(sorted(KEY_NAMES))}")
        service = parts.scheme
        if parts.netloc or parts.path not in ("", "/") or parts.fragment:
            raise ValueError(f"a {service} URL has nothing but options, as in {service}://?key_file=/path")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        key, key_file = options.pop("key", ""), options.pop("key_file", "")
        if bool(key) == bool(key_file):
            raise ValueError(f"a {service} URL needs either key= or key_file=")
        webhook = _event_secret(service, options)
        try:
            timeout = float(options.pop("timeout", TIMEOUT))
        except ValueError:
            timeout = 0.0
        if not 0 < timeout <= 300:
            raise ValueError(f"a {service} URL's timeout= must be a number of seconds up to 300")
        if unknown := sorted(options.keys() - {"api_url"} - EXTRAS.get(service, set())):
            raise ValueError(f"a {service} URL has no option {unknown[0]!r}")
        if not options.get("api_url", "https://").startswith(("https://", "http://")):
            raise ValueError(f"a {service} URL's api_url= must begin with https:// (or http://)")
        return cls(service, key, key_file, timeout, tuple(options.items()), webhook)

    def backend_options(self) -> dict[str, Any]:
        """The backend's keyword arguments. Raises OSError where the key file can't be read."""
        key = self.key or Path(self.key_file).read_text().strip()
        return {KEY_NAMES[self.service]: key, "timeout": self.timeout, **dict(self.options)}


def _event_secret(service: str, options: dict[str, str]) -> str:
    """The secret that verifies the service's events; empty where the URL has none. Raises ValueError."""
    name = EVENT_SECRETS[service]
    if name not in options:
        return ""
    secret = options.pop(name)
    user, _, password = secret.partition(":")
    if name == "webhook_secret":
        expected, valid = "user:password", bool(user) and len(password) >= SHORTEST_SECRET
    else:
        expected, valid = "the service's signing key", secret.isascii() and len(secret) >= SHORTEST_SECRET
    if service == "resend" and valid:
        try:
            base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            valid = False
    if not valid:
        raise ValueError(
            f"a {service} URL's {name}= must be {expected}, of at least {SHORTEST_SECRET} characters and"
            " percent-encoded (+ as %2B)"
        )
    return secret
