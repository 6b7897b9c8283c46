"""Templates whose messages carry a credential. These rules hold whatever their versions declare: a person who reads
or writes such a message could take over the recipient's account."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from apps.templates import declarations
from apps.users.models.scopes import ROLE_SCOPES, Role

RESET_CODE = "password-reset"
"""The password reset email, whose text an organization's administrators may change."""
BUILT_IN_RESET_CODE = "password-reset.built-in"
"""The same with Notifier's own text, for people who may do more than an organization's administrators."""
CODES = frozenset({RESET_CODE, BUILT_IN_RESET_CODE})
SHORTEST_SECRET = 4
"""Characters: shorter values occur in ordinary text, and masking them would make it unreadable."""


def may_write(code: str, scopes: Collection[str], *, live: bool = True) -> bool:
    """Whether a caller with these scopes may write or activate versions of the template. Administrators receive
    the organization's template too, so changing it requires all of their scopes and a live key."""
    if code == BUILT_IN_RESET_CODE:
        return False
    return code != RESET_CODE or (live and ROLE_SCOPES[Role.ADMIN].issubset(scopes))


def hidden(code: str, declared: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables as operators may see them, sensitive values replaced by HIDDEN."""
    if code in CODES:
        return dict.fromkeys(variables, declarations.HIDDEN)
    return declarations.hidden(declared, variables)


def secrets_of(
    code: str, declared: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]
) -> Iterator[str]:
    """The sensitive texts among the variables, longest first."""
    waiting: list[Any] = (
        list(variables.values())
        if code in CODES
        else [declarations.value_of(variables, one["name"]) for one in declared if one.get("sensitive")]
    )
    found = set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif value is not None and not isinstance(value, bool):
            found.add(str(value))
            if code in CODES:
                # A mail filter may quote a link without scheme or host, and its last segment alone is the credential.
                found.add(str(value).rstrip("/").rpartition("/")[2])
    yield from sorted((text for text in found if len(text) >= SHORTEST_SECRET), key=len, reverse=True)
