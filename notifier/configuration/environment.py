"""Reading the environment: every value is checked, and a bad one raises an ImproperlyConfigured that names it."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import environ
from django.core.exceptions import ImproperlyConfigured

from notifier.channels.declaration import RetryPolicy
from notifier.channels.registry import CODES
from notifier.configuration.secrets_file import local_secret
from notifier.lib.email_addresses import InvalidAddress, sender, spelled


class _Environment(environ.Env):  # type: ignore[misc]
    """Remembers the names that were read, so that no list of all variables has to be maintained."""

    def __init__(self) -> None:
        super().__init__()
        self.names_read: dict[str, None] = {}

    def get_value(self, var: str, *arguments: Any, **options: Any) -> Any:
        self.names_read[var] = None
        return super().get_value(var, *arguments, **options)


MAY_BE_FILES = (
    "DATABASE_URL", "BROKER_URL", "REDIS_URL", "SECRET_KEY", "JWT_SIGNING_KEY", "HASH_KEY", "ENCRYPTION_KEYS",
    *(f"{code.upper()}_PROVIDER_URL" for code in CODES), "METRICS_TOKEN",
)  # fmt: skip
"""Variables that hold a secret: NAME_FILE may name a file with the value, as Docker and others provide secrets."""


def _read_files() -> None:
    """Sets NAME in the environment from each NAME_FILE, so that every reader finds it there."""
    for name in MAY_BE_FILES:
        if not (path := os.environ.get(f"{name}_FILE")):
            continue
        if os.environ.get(name):
            raise ImproperlyConfigured(f"{name} and {name}_FILE are both set; set one of them.")
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ImproperlyConfigured(f"{name}_FILE can't be read at {path}: {reason}.") from None
        os.environ[name] = value
        # A child process inherits the value, and not both.
        del os.environ[f"{name}_FILE"]


_read_files()
env = _Environment()
T = TypeVar("T")
BOOLEANS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


def read(
    name: str, kind: Callable[..., T], default: Any, wanted: str, *, valid: Callable[[T], bool] | None = None
) -> T:
    """`name` from the environment as `kind`. Raises ImproperlyConfigured, whose message says what is `wanted`."""
    try:
        value = kind(name, default=default)
        if valid is None or valid(value):
            return value
    except (ValueError, ImproperlyConfigured):
        # Raised below, as for an invalid value.
        pass
    found = str(env.str(name, default=""))
    # A URL may hold a password, and this message ends up in a log.
    shown = "set to something else" if "//" in found else repr(found)
    raise ImproperlyConfigured(f"{name} must be {wanted}; it is {shown}.")


def flag(name: str, default: bool) -> bool:
    """`name` as true or false; any other text raises ImproperlyConfigured instead of counting as false."""
    text = str(env.str(name, default=str(default))).lower()
    if text not in BOOLEANS:
        raise ImproperlyConfigured(f"{name} must be true or false; it is {text!r}.")
    return BOOLEANS[text]


def secret(name: str, local: Path | None, *, optional: bool = False) -> str:
    """A secret of at least 32 characters; the local default generates its own and stores them in the file `local`.

    `optional`: may be unset, and is then empty.
    """
    value = str(env.str(name, default=""))
    if optional and not value:
        return ""
    if local is not None and not value:
        return local_secret(local, name)
    if len(value) < 32:
        # The value itself is not repeated: this message ends up in a log.
        raise ImproperlyConfigured(
            f"{name} must be a random string of at least 32 characters (try `openssl rand -hex 32`)."
        )
    return value


def address(name: str) -> tuple[str, int] | None:
    """`name` as `host:port` (`[::1]:9464` for IPv6); None where it is unset."""
    text = read(
        name, env.str, "", "host:port, as 127.0.0.1:9464", valid=lambda text: not text or _port(text) > 0
    )
    return (text.rpartition(":")[0].strip("[]"), _port(text)) if text else None


def sender_address(name: str, default: str) -> str:
    """`name` as the From of every message, formatted as in a header."""
    text = str(env.str(name, default=default))
    try:
        if not text.isprintable():
            raise InvalidAddress("Remove line breaks and control characters.")
        return str(sender(text))
    except InvalidAddress as error:
        raise ImproperlyConfigured(
            f"{name} must be an address, or `Name <address>`; it is {text!r}. {error}"
        ) from None


BOUNCES_LOCAL = re.compile(r"[a-z0-9._-]{1,19}", re.IGNORECASE)


def bounce_address(name: str) -> str:
    """`name` as the address to whose local part + and a token are added; empty where it is unset."""
    text = str(env.str(name, default=""))
    try:
        address = spelled(text) if text else ""
    except InvalidAddress as error:
        raise ImproperlyConfigured(f"{name} must be an address; it is {text!r}. {error}") from None
    if address and not BOUNCES_LOCAL.fullmatch(address.rpartition("@")[0]):
        raise ImproperlyConfigured(
            f"{name} must be an address without + whose local part has at most 19 letters, digits and . _ -; it"
            f" is {text!r}."
        )
    return address


def _port(text: str) -> int:
    """The port of `host:port`, 0 for anything else."""
    found = re.fullmatch(r"(?:[^\s:\[\]]+|\[[\da-fA-F:]+\]):(\d{1,5})", text)
    port = int(found[1]) if found else 0
    return port if port < 65536 else 0


def secret_list(name: str, local: Path | None) -> list[str]:
    """One or several secrets, each as for `secret`, separated by commas."""
    values = [value.strip() for value in secret(name, local).split(",")]
    if any(len(value) < 32 for value in values):
        raise ImproperlyConfigured(
            f"{name} must be random strings of at least 32 characters each, separated by commas."
        )
    return values


def provider_url(name: str, parse: Callable[[str], object]) -> str:
    """`name` as providers' URLs: unset, or readable by `parse`, whose error messages never repeat a password."""
    url = str(env.str(name, default=""))
    try:
        if url:
            parse(url)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} can't be read: {error}") from None
    return url


RETRY_PRESETS = {"fast": "4,1,5,25", "exponential": "8,5,2,600"}


def retry_policy(name: str, default: RetryPolicy) -> RetryPolicy:
    """`name` as `max_attempts,base,factor,cap` (delays in seconds), or a preset's name; unset: `default`."""
    wanted = env.str(name, default="")
    if not wanted:
        return default
    try:
        attempts, base, factor, cap = (float(part) for part in RETRY_PRESETS.get(wanted, wanted).split(","))
        steps = tuple(min(cap, base * factor**step) for step in range(int(attempts) - 1))
        if attempts < 1 or min((base, factor, cap)) <= 0:
            raise ValueError(wanted)
    except (ValueError, OverflowError) as error:
        presets = ", ".join(RETRY_PRESETS)
        raise ImproperlyConfigured(
            f"{name} must be `max_attempts,base,factor,cap` or one of {presets}; it is {wanted!r}."
        ) from error
    return RetryPolicy(steps=steps, repeat_last=False, deadline=default.deadline)
