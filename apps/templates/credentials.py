"""Templates whose messages carry a credential. What is said here holds whatever their versions declare: whoever reads
such a message, or words it, could take the account that it is about."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from apps.templates import declarations
from apps.users.models.scopes import ROLE_SCOPES, Role

RESET_CODE = "password-reset"
"""The mail by which a password is set anew, in words that an organization's administrators may change."""
BUILT_IN_RESET_CODE = "password-reset.built-in"
"""The same in Notifier's own words, for those who may do more than any administrator of an organization."""
CODES = frozenset({RESET_CODE, BUILT_IN_RESET_CODE})
SHORTEST_SECRET = 4
"""Characters: shorter values are in any text, and masking them would leave nothing to read."""


def may_write(code: str, scopes: Collection[str], *, live: bool = True) -> bool:
    """Whether a caller of these scopes may write or activate versions of the template. An organization's template
    speaks to its administrators too, so that it takes everything that they may do, and no test key."""
    if code == BUILT_IN_RESET_CODE:
        return False
    return code != RESET_CODE or (live and ROLE_SCOPES[Role.ADMIN].issubset(scopes))


def hidden(code: str, declared: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables as whoever looks after messages may see them."""
    if code in CODES:
        return dict.fromkeys(variables, declarations.HIDDEN)
    return declarations.hidden(declared, variables)


def secrets_of(
    code: str, declared: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]
) -> Iterator[str]:
    """The texts among the variables that are shown to nobody, the longest first."""
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
                # A filter of mail names a link without its scheme or host: its code alone opens the account.
                found.add(str(value).rstrip("/").rpartition("/")[2])
    yield from sorted((text for text in found if len(text) >= SHORTEST_SECRET), key=len, reverse=True)
