"""Reach: a caller may change no account, role or key that has more permissions than the caller.

One rule for people and keys, used by the API and the admin alike.
"""

from collections.abc import Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apps.users.models import ApiKey, User


def of_person(person: "User", other: "User | ApiKey") -> bool:
    """Whether the person may take over or remove the other's account, or revoke the key."""
    if person.is_superuser or other.pk == person.pk:
        return True
    return _covers(person.scopes, other)


def of_key(key: "ApiKey", other: "User | ApiKey") -> bool:
    """The same for a key. A test key may touch neither a live key nor a person with any scope."""
    scopes = frozenset(key.scopes)
    return _covers(scopes, other) and (key.live or not _has_live_permissions(other))


def _covers(scopes: Set[str], other: "User | ApiKey") -> bool:
    if getattr(other, "is_staff", False) or getattr(other, "is_superuser", False):
        return False
    return scopes >= frozenset(other.scopes)


def _has_live_permissions(other: "User | ApiKey") -> bool:
    live = getattr(other, "live", None)
    return bool(other.scopes) if live is None else bool(live)
