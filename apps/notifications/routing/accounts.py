"""A channel's provider accounts as its setting lists them, one URL or several, in the order of failover, and the
providers that send through them, made once a process."""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlsplit, urlunsplit

from django.conf import settings

from apps.notifications.channels.provider import Capabilities, Provider, ProviderKind
from apps.notifications.channels.sandbox import SANDBOX, SandboxProvider
from apps.notifications.channels.tracking import EventsReader
from apps.notifications.channels.unusable import UnusableProvider
from notifier.channels.registry import CODES

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
    url: str = field(default="", repr=False)
    scheme: str = ""
    order: int = 0
    weight: float = 1.0
    breaker: BreakerPolicy = BreakerPolicy()
    rate: float = 0.0
    domain_rate: float = 0.0


Schemes = Mapping[str, ProviderKind[Any]]
"""A channel's kinds of provider, by the URL schemes that mean them."""


def parse(text: str, schemes: Schemes) -> list[Account]:
    """The accounts in `text`: URLs separated by spaces.

    Raises ValueError, whose message contains no password.
    """
    urls = text.split()
    accounts = [_account(url, position, schemes, alone=len(urls) == 1) for position, url in enumerate(urls)]
    names = [account.name for account in accounts]
    if repeated := _repeated(names):
        raise ValueError(f"two providers are called {repeated[0]!r}: give each URL a name= of its own")
    return accounts


def _repeated(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _account(url: str, position: int, schemes: Schemes, *, alone: bool) -> Account:
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
    kind = schemes[parts.scheme]
    name = own.get("name", kind.name)
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
    kind.settings_from_url(account.url)
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


def _kinds(channel: str) -> tuple[ProviderKind[Any], ...]:
    """What the folders of the channel's providers declare."""
    registry = import_module(f"apps.notifications.channels.{channel}.providers.registry")
    kinds: tuple[ProviderKind[Any], ...] = registry.KINDS
    return kinds


SCHEMES: dict[str, Schemes] = {
    channel: {scheme: kind for kind in (*_kinds(channel), SANDBOX) for scheme in kind.schemes}
    for channel in CODES
}


@lru_cache(maxsize=16)
def accounts_in(channel: str, text: str) -> tuple[Account, ...]:
    """The accounts in a provider setting's text. Raises ValueError with a message for the operator."""
    return tuple(parse(text, SCHEMES[channel]))


def configured(channel: str) -> tuple[Account, ...]:
    """The channel's accounts by its setting, in the order written. Raises ValueError."""
    return accounts_in(channel, getattr(settings, setting_of(channel)))


def events_of(name: str) -> EventsReader | None:
    """What verifies and reads the posts to the account of this name; None where there is no such account, or its
    provider makes none."""
    for channel in CODES:
        for account in _readable(channel):
            kind = SCHEMES[channel][account.scheme]
            if account.name == name and kind.events is not None:
                return kind.events(kind.settings_from_url(account.url))
    return None


def channels_of(name: str) -> list[str]:
    """The channels with an account of this name; where none has, all: the settings may have changed."""
    named = [code for code in CODES if any(account.name == name for account in _readable(code))]
    return named or list(CODES)


def names_of_several() -> list[str]:
    """Names by which accounts of more than one channel are called. The sandbox's accounts may share one: nothing is
    kept or reported by it."""
    names = [
        account.name
        for channel in CODES
        for account in _readable(channel)
        if SCHEMES[channel][account.scheme] is not SANDBOX
    ]
    return _repeated(names)


def _readable(channel: str) -> tuple[Account, ...]:
    """The channel's accounts; none where its setting can't be read, which must not stop the others' posts."""
    try:
        return configured(channel)
    except ValueError:
        return ()


def setting_of(channel: str) -> str:
    """The name of the setting that lists the channel's accounts."""
    return f"{channel.upper()}_PROVIDER_URL"


class Ready(NamedTuple):
    """An account, and the provider object that sends through it."""

    account: Account
    provider: Provider[Any]
    capabilities: Capabilities = Capabilities()


_SANDBOX = Ready(Account("sandbox"), SandboxProvider(), SANDBOX.capabilities)
_lock = threading.Lock()
_made: dict[Account, Provider[Any]] = {}


def accounts_for(channel: str, *, live: bool) -> list[Ready]:
    """The channel's accounts in failover order; at least one, whose provider fails with the reason where none is
    usable. Test messages (not `live`) get the sandbox."""
    if not live:
        return [_SANDBOX]
    try:
        accounts = configured(channel)
    except ValueError as error:
        return [_unusable(Account(channel), "provider_unusable", str(error))]
    if not accounts:
        return [_unusable(Account(channel), "provider_not_configured", f"{setting_of(channel)} is not set.")]
    return failover_order([_ready(channel, account) for account in accounts])


def failover_order(accounts: list[Ready], chance: Callable[[], float] = random.random) -> list[Ready]:
    """The accounts by `order`; among equals at random, by `weight`."""
    return sorted(accounts, key=lambda one: (one.account.order, -(chance() ** (1 / one.account.weight))))


def close_all() -> None:
    """Close all connections; the next use makes the providers anew, from the settings of that moment."""
    with _lock:
        for provider in _made.values():
            provider.close()
        _made.clear()


def _ready(channel: str, account: Account) -> Ready:
    kind = SCHEMES[channel][account.scheme]
    with _lock:
        if account not in _made:
            try:
                _made[account] = kind.make(account.name, kind.settings_from_url(account.url))
            except (ValueError, OSError) as error:
                # Not cached: a missing file may be there the next time.
                return _unusable(account, "provider_unusable", str(error))
        return Ready(account, _made[account], kind.capabilities)


def _unusable(account: Account, code: str, detail: str) -> Ready:
    return Ready(account, UnusableProvider(account.name, code, detail))
