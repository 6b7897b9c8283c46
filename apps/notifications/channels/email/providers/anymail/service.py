"""What differs from one email service to the next, as far as sending through django-anymail goes."""

from collections.abc import Callable
from dataclasses import dataclass

import requests


@dataclass(frozen=True, slots=True, kw_only=True)
class AnymailService:
    """`name`: of the service's folder, and of the backend's module in django-anymail; with hyphens, the URL's scheme.
    `key`: what that backend calls the account's key; two names with a colon between them where it has two, which the
    URL then has in one text, as `key:secret`. `options`: the backend's further options that a URL may have, and
    `required` those that it must have. `smtputf8`: see `Capabilities`. `returns_metadata`: whether its tracking
    events have the metadata that was sent along; where not, they name the message by the service's own id.

    `refused_headers`: names, in lower case, of headers with which its API refuses a message; they are left out.
    `accepts_with`: the one HTTP status that means that it took the message, where its answer says nothing else; 0:
    the answer says it. `status_of`: the HTTP status that an error's answer amounts to, where the service answers
    with another; 0: the one that it has.

    `verified_by`: the URL's option with which its posts are verified: `webhook_secret`, which is `user:password` of
    HTTP basic authentication, or `webhook_key`, the service's signing key; `is_secret` says whether a text can be
    one. They are read by the class `Events` in the module `events` of its folder. Empty where it reports nothing.
    """

    name: str
    key: str = "api_key"
    options: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    smtputf8: bool = True
    returns_metadata: bool = True
    refused_headers: frozenset[str] = frozenset()
    accepts_with: int = 0
    status_of: Callable[[requests.Response], int] = lambda _: 0
    verified_by: str = ""
    is_secret: Callable[[str], bool] = str.isascii

    @property
    def scheme(self) -> str:
        # No underscore may stand in a URL's scheme (RFC 3986), nor a hyphen in a module's name.
        return self.name.replace("_", "-")
