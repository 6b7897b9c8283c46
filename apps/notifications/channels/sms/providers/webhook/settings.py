"""One gateway of the operator's own, from a URL."""

import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlencode, urlsplit

from apps.notifications.channels.sms.providers.gateway import (
    ANSWER_SECONDS,
    options_of,
    take_secret,
    take_timeout,
)
from notifier.lib.http.standard_webhooks import key_of

SHORTEST_KEY = 16
"""Octets of the key: whoever guesses it can have texts sent, and suppress numbers."""


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """`base_url`, `path`: where texts are posted to. `secret`: signs them, and the gateway's posts, by Standard
    Webhooks. `sender`: whom texts are from; empty: the gateway decides. `timeout`: seconds for the answer."""

    base_url: str
    path: str = field(repr=False)
    secret: str = field(default="", repr=False)
    secret_file: str = ""
    sender: str = ""
    timeout: float = ANSWER_SECONDS

    @classmethod
    def from_url(cls, url: str) -> Self:
        """`https://gateway.example.com/sms?secret=whsec_…`, or `secret_file`; `from` and `timeout` may follow, and
        other options, which stay in the URL. Raises ValueError with a sentence that repeats no secret."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ValueError("a gateway's URL can't be read; it is like https://host/path?secret=…") from None
        if parts.scheme not in ("https", "http") or not host or parts.username or parts.fragment:
            raise ValueError(
                "a gateway's URL is like https://host/path?secret=…, without a user or a fragment"
            )
        if not re.fullmatch(r"[A-Za-z0-9.:-]+", host) or not re.fullmatch(r"[!-~]*", parts.path):
            raise ValueError("a gateway's URL has a host and a path of ASCII, percent-encoded")
        options = options_of(url, "gateway's")
        secret, secret_file = take_secret(options, "gateway's", "secret")
        if secret:
            checked(secret)
        timeout = take_timeout(options, "gateway's")
        sender = options.pop("from", "").strip()
        query = f"?{urlencode(options)}" if options else ""
        shown = f"[{host}]" if ":" in host else host
        base = f"{parts.scheme}://{shown}" + (f":{port}" if port else "")
        return cls(base, (parts.path or "/") + query, secret, secret_file, sender, timeout)


def checked(secret: str) -> bytes:
    """The key in it. Raises ValueError with a sentence that does not repeat it."""
    try:
        key = key_of(secret)
    except ValueError:
        key = b""
    if len(key) < SHORTEST_KEY:
        raise ValueError(
            f"a gateway's secret= is whsec_ and at least {SHORTEST_KEY} octets in base64, percent-encoded (+ as %2B)"
        )
    return key
