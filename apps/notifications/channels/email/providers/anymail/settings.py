"""One account with an email service's HTTP API, from a URL."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from apps.notifications.channels.email.providers.anymail.service import AnymailService

TIMEOUT = 15.0
SHORTEST_SECRET = 16
"""Characters of the secret that verifies tracking events: whoever guesses it can suppress addresses."""


@dataclass(frozen=True, slots=True)
class AnymailSettings:
    """`options`: further arguments of the service's django-anymail backend. `timeout`: seconds for the connection,
    and again for the answer. `webhook`: the secret that verifies its tracking events; empty where none are
    accepted."""

    service: AnymailService
    key: str = field(default="", repr=False)
    key_file: str = ""
    timeout: float = TIMEOUT
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    webhook: str = field(default="", repr=False)

    @classmethod
    def from_url(cls, url: str, *, service: AnymailService) -> Self:
        """`postmark://?key=…` or `?key_file=/path`; `api_url`, `timeout`, the secret of its events
        and the service's own options may follow. Raises ValueError with a sentence that repeats no secret."""
        parts, name = urlsplit(url), service.scheme
        if parts.netloc or parts.path not in ("", "/") or parts.fragment:
            raise ValueError(f"a {name} URL has nothing but options, as in {name}://?key_file=/path")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        key, key_file = options.pop("key", ""), options.pop("key_file", "")
        if bool(key) == bool(key_file):
            raise ValueError(f"a {name} URL needs either key= or key_file=")
        if key:
            _keys(service, key)
        webhook = _event_secret(service, options)
        try:
            timeout = float(options.pop("timeout", TIMEOUT))
        except ValueError:
            timeout = 0.0
        if not 0 < timeout <= 300:
            raise ValueError(f"a {name} URL's timeout= must be a number of seconds up to 300")
        known = {"api_url", *service.options, *service.required}
        if not options.keys() <= known:
            # An unknown one is not repeated: it may be a piece of a secret that is not percent-encoded.
            named = sorted(filter(None, (*known, "key", "key_file", "timeout", service.verified_by)))
            raise ValueError(
                f"a {name} URL has no options but {', '.join(named)} (write & in a secret as %26)"
            )
        if not options.get("api_url", "https://").startswith(("https://", "http://")):
            raise ValueError(f"a {name} URL's api_url= must begin with https:// (or http://)")
        if "{" in options.get("api_url", ""):
            # No URL has one, and a backend may take it for a place to fill in.
            raise ValueError(f"a {name} URL's api_url= must have no braces")
        for option in sorted(service.required):
            if not options.get(option):
                raise ValueError(f"a {name} URL needs {option}=")
        return cls(service, key, key_file, timeout, tuple(options.items()), webhook)

    def backend_options(self) -> dict[str, Any]:
        """The backend's keyword arguments. Raises OSError where the key file can't be read, and ValueError where it
        has no key of the service's form."""
        key = self.key or Path(self.key_file).read_text().strip()
        return {**_keys(self.service, key), "timeout": self.timeout, **dict(self.options)}


def _keys(service: AnymailService, key: str) -> dict[str, str]:
    """The account's key, or its two, under the backend's names. Raises ValueError."""
    names = service.key.split(":")
    parts = key.split(":", len(names) - 1)
    if len(parts) != len(names) or not all(parts):
        form = "have two parts, as in key:secret" if len(names) > 1 else "not be empty"
        raise ValueError(f"a {service.scheme} account's key must {form}")
    return dict(zip(names, parts, strict=True))


def _event_secret(service: AnymailService, options: dict[str, str]) -> str:
    """The secret that verifies the service's events; empty where the URL has none. Raises ValueError."""
    name = service.verified_by
    if name not in options:
        return ""
    secret = options.pop(name)
    user, _, password = secret.partition(":")
    if name == "webhook_secret":
        expected, valid = "user:password", bool(user) and len(password) >= SHORTEST_SECRET
    else:
        expected, valid = "the service's signing key", len(secret) >= SHORTEST_SECRET
    if not valid or not service.is_secret(secret):
        raise ValueError(
            f"a {service.scheme} URL's {name}= must be {expected}, of at least {SHORTEST_SECRET} characters and"
            " percent-encoded (+ as %2B)"
        )
    return secret
