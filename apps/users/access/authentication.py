"""Authentication: a service by API key, or a person by JWT. Either becomes a `Caller` in `request.auth`."""

from dataclasses import dataclass
from typing import Any, cast

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken

from apps.users import audit_log
from apps.users.access import failed_sign_ins, sessions
from apps.users.models import ApiKey, Organization, User
from notifier.lib.database import storage, tenancy
from notifier.lib.database.sql import read
from notifier.lib.http.client_address import client_address, in_networks


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated caller of a request, with its organization and scopes.

    `name` identifies the caller in idempotency records and the audit log: `key:<id>` or `user:<id>`.
    """

    name: str
    organization: Organization
    scopes: frozenset[str]
    live: bool = True
    user: User | None = None
    api_key: ApiKey | None = None

    def reaches(self, other: "User | ApiKey") -> bool:
        """Whether the caller may change the person's account or the key (`models.reach`)."""
        own = self.user or self.api_key
        return own is not None and own.reaches(other)

    @property
    def is_system(self) -> bool:
        """Whether Notifier itself is the caller, on behalf of no key or person."""
        return self.name.startswith("system:")


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Api-Key <prefix>.<secret>`."""

    keyword = b"api-key"

    def authenticate(self, request: Request) -> tuple[ApiKey, Caller] | None:
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() != self.keyword:
            return None
        prefix, _, secret = parts[-1].decode("latin-1").partition(".")
        key = _key(prefix) if len(parts) == 2 and secret and "\0" not in prefix else None
        if key is None or not key.matches(secret):
            raise AuthenticationFailed("This API key is unknown, expired or revoked.", "invalid_api_key")
        if key.addresses and not in_networks(client_address(request._request), key.addresses):
            raise PermissionDenied(
                "This API key is not for callers at this address; see its `addresses`.", "address_not_allowed"
            )
        if key.last_used_at is None or timezone.now() - key.last_used_at > ApiKey.LAST_USED_EVERY:
            ApiKey.objects.filter(
                Q(last_used_at=None) | Q(last_used_at__lt=Now() - ApiKey.LAST_USED_EVERY), pk=key.pk
            ).update(last_used_at=Now())
        tenancy.enter(key.organization_id)
        audit_log.act_as(f"key:{key.pk}")
        return key, Caller(
            name=f"key:{key.pk}",
            organization=key.organization,
            scopes=frozenset(key.scopes),
            live=key.live,
            api_key=key,
        )

    def authenticate_header(self, request: Request) -> str:
        return 'Api-Key realm="api"'


@storage.operation
def _key(prefix: str) -> ApiKey | None:
    """The live key of this prefix, with its organization; None if there is none or the organization is inactive."""
    for key, organization in read(_KEY, (ApiKey, Organization), {"prefix": prefix}):
        key.organization = organization
        return cast(ApiKey, key)
    return None


@_key.portable
def _key_portably(prefix: str) -> ApiKey | None:
    keys = ApiKey.objects.alive().select_related("organization")
    return keys.filter(prefix=prefix, organization__is_active=True).first()


_KEY = """
SELECT {0}, {1} FROM users_apikey AS t0 JOIN users_organization AS t1 ON t1.id = t0.organization_id
WHERE t0.prefix = %(prefix)s AND t1.is_active AND t0.revoked_at IS NULL
  AND (t0.expires_at IS NULL OR t0.expires_at > statement_timestamp())
"""


class BearerAuthentication(JWTAuthentication):
    """`Authorization: Bearer <JWT>`. The person's organization and role give the caller its scopes."""

    def authenticate(self, request: Request) -> Any:
        parts = get_authorization_header(request).split()
        if len(parts) == 2 and parts[0].lower() == b"bearer" and parts[1].count(b".") != 2:
            # A JWT has two dots.
            raise InvalidToken("This is no JWT. An API key goes as `Authorization: Api-Key …`.")
        found = super().authenticate(request)
        if found is None:
            return None
        user = cast(User, found[0])
        tenancy.enter(user.organization_id)
        audit_log.act_as(f"user:{user.pk}")
        return user, Caller(
            name=f"user:{user.pk}", organization=user.organization, scopes=user.scopes, user=user
        )

    def get_user(self, validated_token: Any) -> Any:
        try:
            user = cast(User, super().get_user(validated_token))
        except ValidationError as error:
            raise InvalidToken("This token names no user.") from error
        if not user.organization.is_active or not sessions.is_current(validated_token, user):
            # The same message as the library has for a forged token, so that the responses do not differ.
            raise InvalidToken("Given token not valid for any token type")
        return user


NAMESAKES, NAMESAKES_LOOKED_AT = 2, 50
"""Where no organization is named: how many accounts of one address a password is checked against, and among how
many rows with this address they are looked for."""


class EmailBackend(ModelBackend):
    """Sign in by address and password; `organization` (a slug) selects among accounts with the same address."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        organization: str = "",
        **kwargs: Any,
    ) -> User | None:
        email = username or kwargs.get(User.USERNAME_FIELD)
        if not email or password is None:
            return None
        candidates = User.objects.filter(User.at(email), organization__is_active=True)
        if organization:
            candidates = candidates.filter(organization__slug=organization)
        # Each check of a password costs a quarter of a second of CPU. Accounts that may open the admin, whose form
        # has no field for the organization, come first; people with more namesakes than that have to name theirs.
        by_rank = candidates.order_by("-is_superuser", "-is_staff", "id")
        named = [user for user in by_rank[:NAMESAKES_LOOKED_AT] if user.has_usable_password()][:NAMESAKES]
        # Counted by the accounts' own addresses: a form or the database may accept another spelling than the one that
        # the login view has checked.
        tried = [user for user in named if failed_sign_ins.standing(user.email).remaining > 0]
        matching = [user for user in tried if user.check_password(password)]
        if not tried:
            # As slow as for a known address, so that the response time does not reveal which addresses are known.
            User().set_password(password)
        if len(matching) != 1 or not self.user_can_authenticate(matching[0]):
            failed_sign_ins.count(email, *(user.email for user in tried))
            return None
        return matching[0]

    def user_can_authenticate(self, user: Any) -> bool:
        # Django calls this again for every request of an operator who is signed in to the admin.
        return super().user_can_authenticate(user) and user.organization.is_active


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "apps.users.access.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Api-Key <prefix>.<secret>`",
        }


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "apps.users.access.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
