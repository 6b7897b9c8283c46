"""What differs from one email service to the next, as far as sending through django-anymail goes."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AnymailService:
    """`name`: the URL's scheme, and the name of the backend's module in django-anymail. `key`: what that backend
    calls the account's key. `options`: its further options that a URL may have. `smtputf8`: see `Capabilities`.
    `returns_metadata`: whether its tracking events have the metadata that was sent along; where not, they name the
    message by the service's own id.

    `verified_by`: the URL's option with which its posts are verified: `webhook_secret`, which is `user:password` of
    HTTP basic authentication, or `webhook_key`, the service's signing key; `is_secret` says whether a text can be
    one. They are read by the class `Events` in the module `events` of its folder. Empty where it reports nothing.
    """

    name: str
    key: str = "api_key"
    options: frozenset[str] = frozenset()
    smtputf8: bool = True
    returns_metadata: bool = True
    verified_by: str = ""
    is_secret: Callable[[str], bool] = str.isascii
