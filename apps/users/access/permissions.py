"""Permissions, denied by default: a view declares the scope of each method; a method without one is refused."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django.db.models import QuerySet
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from apps.users.access.authentication import Caller
from apps.users.models import ApiKey, Organization, User

if TYPE_CHECKING:
    # DRF's views import this module, by its name in the settings.
    from rest_framework.views import APIView


def caller_of(request: Request) -> Caller:
    """The authenticated caller; only behind `HasScope`."""
    caller = request.auth
    assert isinstance(caller, Caller)  # noqa: S101 - the permission below guarantees it
    return caller


def person_of(request: Request) -> User:
    """The person who is signed in; only behind `IsPerson`."""
    user = caller_of(request).user
    assert user is not None  # noqa: S101 - the permission below guarantees it
    return user


class BeyondReach(PermissionDenied):
    default_code = "beyond_reach"
    default_detail = "This may do more than you, so it is not yours to change."


def require_reach(request: Request, other: "User | ApiKey") -> None:
    """Raises BeyondReach where the caller may not touch the person's account or the key."""
    if not caller_of(request).reaches(other):
        raise BeyondReach


def require_reach_of_recipient(request: Request, channel: str, recipient: str) -> None:
    """Raises BeyondReach where the caller may not touch everybody who has this address or device token in its
    organization. A suppressed recipient gets nothing, not even the mail that restores access to an account."""
    caller = caller_of(request)
    if not reaches_recipient(caller, channel, recipient, caller.organization):
        raise BeyondReach


def reaches_recipient(
    by: "Caller | User", channel: str, recipient: str, organization: Organization | None
) -> bool:
    """Whether `by` may touch every person who has this address or device token in the organization."""
    people = User.objects.filter(User.reached_at(channel, recipient), organization=organization)
    return all(map(by.reaches, people))


def lacks_method(request: Request, view: "APIView") -> bool:
    """Whether the view lacks the method: to an authenticated caller that is a 405, not a 403."""
    method = "GET" if request.method == "HEAD" else request.method
    return method == "OPTIONS" or method not in view.allowed_methods


class IsPerson(BasePermission):
    """Grants to any person who is signed in, and to no API key: a key has no account of its own."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        caller = request.auth
        if not isinstance(caller, Caller):
            return False
        return caller.user is not None or lacks_method(request, view)


class HasScope(BasePermission):
    """Grants by the view's `scopes` (method → scope).

    `self_service` names the methods that a person without the scope may use on their own rows; the view's
    queryset narrows to them (`OrganizationRows`).
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        caller = request.auth
        if not isinstance(caller, Caller):
            return False
        method = "GET" if request.method == "HEAD" else request.method
        scope = getattr(view, "scopes", {}).get(method)
        if scope is None:
            return lacks_method(request, view)
        if scope in caller.scopes:
            return True
        return caller.user is not None and method in getattr(view, "self_service", ())


class OrganizationRows:
    """Narrows a view's rows to the caller's organization, and to the person's own where the scope is missing."""

    request: Any
    scopes: ClassVar[Mapping[str, str]]

    def visible(self, rows: QuerySet[Any], *, self_path: str = "user") -> QuerySet[Any]:
        """`self_path` is the look-up from a row to its person. What is filtered out answers 404."""
        caller = caller_of(self.request)
        rows = rows.filter(organization=caller.organization)
        method = "GET" if self.request.method == "HEAD" else str(self.request.method)
        if self.scopes[method] not in caller.scopes and caller.user is not None:
            rows = rows.filter(**{self_path: caller.user.pk})
        return rows

    def writable(self, rows: QuerySet[Any], *, path: str) -> QuerySet[Any]:
        """The rows that the caller may use with this method: a test key reads what live keys sent, and changes none
        of it. `path` is the look-up from a row to whether it is live."""
        if caller_of(self.request).live or self.request.method in SAFE_METHODS:
            return rows
        return rows.filter(**{path: False})
