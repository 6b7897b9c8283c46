"""A channel's provider accounts as its setting lists them: one URL or several, in the order of failover."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit, urlunsplit

from apps.notifications.channels.email.providers.esp.settings import KEY_NAMES, EspSettings
from apps.notifications.channels.email.providers.smtp.settings import SmtpSettings
from apps.notifications.channels.push.providers.fcm.settings import FcmSettings
from apps.notifications.channels.sandbox import SandboxSettings
from apps.users.channels import Channel

OPTIONS = frozenset({"name", "order", "weight", "breaker", "rate", "domain_rate"})
NAME_LIMIT = 64


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a circuit opens: at a share of `ratio` errors among at least `minimum` sends of the last `window` seconds,
    or after `streak` errors in a row. `pause`: seconds that it stays open at first."""

    ratio: float = 0.5
    minimum: int = 20
    window: float = 30.0
    streak: int = 10
    pause: float = 30.0


PRESETS = {
    "ratio": BreakerPolicy(streak=1_000_000),
    "streak": BreakerPolicy(minimum=1_000_000, streak=5, pause=60.0),
}
"""`ratio`: half of at least 20, for 30 s. `streak`: 5 in a row, for 60 s. Each switches the other's rule off."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account with one provider. `url` is without the options that every provider has (`OPTIONS`).

    Lower `order` comes first; among equals the choice is random, by `weight`. `rate`, `domain_rate`: messages a
    second through the account, and to one recipient domain; 0 is no limit.
    """

    name: str
    url: str = ""
    scheme: str = ""
    order: int = 0
    weight: float = 1.0
    breaker: BreakerPolicy = BreakerPolicy()
    rate: float = 0.0
    domain_rate: float = 0.0


def parse(text: str, schemes: Mapping[str, Callable[[str], Any]]) -> list[Account]:
    """The accounts in `text`: URLs separated by spaces. `schemes`: by URL scheme, what validates such a URL.

    Raises ValueError, whose message contains no password.
    """
    urls = text.split()
    accounts = [_account(url, position, schemes, alone=len(urls) == 1) for position, url in enumerate(urls)]
    names = [account.name for account in accounts]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two providers are called {repeated[0]!r}: give each URL a name= of its own")
    return accounts


def _account(url: str, position: int, schemes: Mapping[str, Callable[[str], Any]], *, alone: bool) -> Account:
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError:
        raise ValueError("a provider's URL can't be read (is its password percent-encoded?)") from None
    if parts.scheme not in schemes:
        known = ", ".join(f"{scheme}://" for scheme in sorted(schemes))
        raise ValueError(f"a provider's URL must begin with one of {known}")
    own = {key: value for key, value in options.items() if key in OPTIONS}
    if not alone and not own.get("name"):
        raise ValueError("each of several provider URLs needs a name=")
    name = own.get("name", parts.scheme.removesuffix("s") if parts.scheme == "smtps" else parts.scheme)
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii() or len(name) > NAME_LIMIT:
        raise ValueError(f"a provider's name= has letters, digits, - and _ only, at most {NAME_LIMIT}")
    account = Account(
        name=name,
        url=_without(parts),
        scheme=parts.scheme,
        order=int(_number(own, "order", position, lowest=0)),
        weight=_number(own, "weight", 1.0, lowest=0.001),
        breaker=_breaker(own.get("breaker", "")),
        rate=_number(own, "rate", 0.0, lowest=0),
        domain_rate=_number(own, "domain_rate", 0.0, lowest=0),
    )
    schemes[parts.scheme](account.url)
    return account


def _without(parts: SplitResult) -> str:
    # The query as it was written: decoding and encoding it again could change a password.
    rest = [piece for piece in parts.query.split("&") if piece and piece.partition("=")[0] not in OPTIONS]
    return urlunsplit(parts._replace(query="&".join(rest)))


def _number(options: Mapping[str, str], name: str, default: float, *, lowest: float) -> float:
    try:
        value = float(options.get(name, default))
    except ValueError:
        value = -1.0
    if not lowest <= value <= 1_000_000:
        raise ValueError(f"a provider's {name}= must be a number from {lowest:g} to 1000000")
    return value


def _breaker(text: str) -> BreakerPolicy:
    """A preset's name, or `ratio:0.5,minimum:20,window:30,streak:10,pause:30` with some of these left out."""
    if not text:
        return BreakerPolicy()
    if text in PRESETS:
        return PRESETS[text]
    changes: dict[str, Any] = {}
    for piece in text.split(","):
        name, _, value = piece.partition(":")
        kind = {"ratio": float, "minimum": int, "window": float, "streak": int, "pause": float}.get(name)
        try:
            changes[name] = kind(value) if kind else None
        except ValueError:
            changes[name] = None
        if not changes[name] or changes[name] <= 0:
            raise ValueError(
                f"a provider's breaker= must be one of {', '.join(PRESETS)}, or like"
                " ratio:0.5,minimum:20,window:30,streak:10,pause:30"
            )
    policy = replace(BreakerPolicy(), **changes)
    if policy.ratio > 1:
        raise ValueError("a provider's breaker= has a ratio over 1: half of all sends is 0.5")
    return policy


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
