"""Whom a caller may touch: nobody's account, role or key that may do more than the caller.

One rule for persons and keys, behind the API and the admin alike.
"""

from collections.abc import Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apps.users.models import ApiKey, User


def of_person(person: "User", other: "User | ApiKey") -> bool:
    """Whether the person may do what would give them the other's account, take it away, or end the key."""
    if person.is_superuser or other.pk == person.pk:
        return True
    return _covers(person.scopes, other)


def of_key(key: "ApiKey", other: "User | ApiKey") -> bool:
    """The same of a key. A test key touches no live key, and nobody who may do anything."""
    scopes = frozenset(key.scopes)
    return _covers(scopes, other) and (key.live or not _matters(other))


def _covers(scopes: Set[str], other: "User | ApiKey") -> bool:
    if getattr(other, "is_staff", False) or getattr(other, "is_superuser", False):
        return False
    return scopes >= frozenset(other.scopes)


def _matters(other: "User | ApiKey") -> bool:
    live = getattr(other, "live", None)
    return bool(other.scopes) if live is None else bool(live)
