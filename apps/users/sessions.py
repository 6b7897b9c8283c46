"""A person's sign-in as a pair of JWTs: begun with a password, renewed, ended."""

import hmac

from django.core.exceptions import ValidationError
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import RefreshToken, Token
from rest_framework_simplejwt.utils import get_md5_hash_password

from apps.users.models import User


class SessionToken(RefreshToken):
    """A refresh token. Only the dead ones are stored: a copy of the database opens no session."""

    @classmethod
    def for_user(cls, user: User) -> "SessionToken":  # type: ignore[override]
        # The library's own would write down every live token in full.
        begun: SessionToken = Token.for_user.__func__(cls, user)  # type: ignore[attr-defined]
        return begun


def begin(user: User) -> dict[str, str]:
    refresh = SessionToken.for_user(user)
    return {"access": str(refresh.access_token), "refresh": str(refresh)}


def renew(refresh: str) -> dict[str, str]:
    """A new pair for a refresh token, which dies. Raises InvalidToken."""
    token, user = _alive(refresh)
    _kill(token)
    return begin(user)


def end(refresh: str) -> None:
    """The refresh token dies. Raises InvalidToken where it was dead already."""
    _kill(_alive(refresh)[0])


def _alive(refresh: str) -> tuple[SessionToken, User]:
    try:
        token = SessionToken(refresh)  # type: ignore[arg-type]
        user = User.objects.get(
            pk=token[api_settings.USER_ID_CLAIM], is_active=True, organization__is_active=True
        )
    except (TokenError, KeyError, TypeError, ValidationError, User.DoesNotExist) as fault:
        raise InvalidToken("This refresh token is not valid, or not any more.") from fault
    # The library asks this of access tokens alone.
    if not hmac.compare_digest(
        str(token.get(api_settings.REVOKE_TOKEN_CLAIM)).encode(),
        get_md5_hash_password(user.password).encode(),
    ):
        raise InvalidToken("This refresh token is not valid, or not any more.")
    return token, user


def _kill(token: SessionToken) -> None:
    # Of two at once the row's uniqueness lets one through.
    killed: bool = token.blacklist()[1]  # type: ignore[index]
    if not killed:
        raise InvalidToken("This refresh token is not valid, or not any more.")
