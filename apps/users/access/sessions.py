"""A person's session as a pair of JWTs: created with a password, renewed with a refresh token, ended."""

import hmac
from datetime import UTC, datetime

import structlog
from django.conf import settings
from django.core.exceptions import ValidationError
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken, Token
from rest_framework_simplejwt.utils import get_md5_hash_password

from apps.users.models import User

log = structlog.get_logger(__name__)


class SessionToken(RefreshToken):
    """A refresh token. Only revoked ones are stored: a copy of the database opens no session.

    The tokens that descend from one sign-in are a family. One that is used a second time was copied, and it is not
    known which of the two users is the thief: the whole family is revoked.
    """

    @classmethod
    def for_user(cls, user: User) -> "SessionToken":  # type: ignore[override]
        # The library's own method would store every live token in full.
        begun: SessionToken = Token.for_user.__func__(cls, user)  # type: ignore[attr-defined]
        begun[EPOCH] = user.epoch
        begun[FAMILY] = f"family:{begun[api_settings.JTI_CLAIM]}"
        begun[BEGAN] = int(begun.current_time.timestamp())
        return begun

    def check_blacklist(self) -> None:
        family = self.get(FAMILY, "")
        ended = set(
            BlacklistedToken.objects.filter(
                token__jti__in=[self[api_settings.JTI_CLAIM], family]
            ).values_list("token__jti", flat=True)
        )
        if not ended:
            return
        if family and family not in ended:
            self.end_family()
            log.warning("refresh_token_reused", user_id=str(self.get(api_settings.USER_ID_CLAIM)))
        raise TokenError("This refresh token was used already.")

    def end_family(self) -> None:
        # Stored as if the family were a token, for as long as any of its tokens could be valid.
        ends = datetime.fromtimestamp(self[BEGAN], UTC) + settings.SESSION_LONGEST
        whole, _ = OutstandingToken.objects.get_or_create(
            jti=self[FAMILY], defaults={"token": "", "created_at": self.current_time, "expires_at": ends}
        )
        BlacklistedToken.objects.get_or_create(token=whole)


EPOCH, FAMILY, BEGAN = "epoch", "family", "began"
"""Claims: the account's epoch (tokens of an earlier one are invalid), the sign-in's family, and when it began."""


def is_current(token: Token, user: User) -> bool:
    """Whether the token was issued after the account, or its organization, was last deactivated."""
    return str(token.get(EPOCH, "0.0")) == user.epoch


def begin(user: User) -> dict[str, str]:
    return _pair(SessionToken.for_user(user))


def renew(refresh: str) -> dict[str, str]:
    """A new pair of tokens for a refresh token, which is revoked. Raises InvalidToken."""
    token, user = _valid(refresh)
    _revoke(token)
    successor = SessionToken.for_user(user)
    if FAMILY in token:
        successor[FAMILY], successor[BEGAN] = token[FAMILY], token[BEGAN]
    # However often it is renewed, a session ends SESSION_LONGEST after the sign-in.
    longest = successor[BEGAN] + int(settings.SESSION_LONGEST.total_seconds())
    successor["exp"] = min(successor["exp"], longest)
    if successor["exp"] <= successor["iat"]:
        raise InvalidToken("This sign-in is too old; sign in again.")
    return _pair(successor)


def _pair(refresh: SessionToken) -> dict[str, str]:
    return {"access": str(refresh.access_token), "refresh": str(refresh)}


def end(refresh: str) -> None:
    """Revoke the refresh token. Raises InvalidToken where it was invalid already."""
    _revoke(_valid(refresh)[0])


def _valid(refresh: str) -> tuple[SessionToken, User]:
    try:
        token = SessionToken(refresh)  # type: ignore[arg-type]
        user = User.objects.select_related("organization").get(
            pk=token[api_settings.USER_ID_CLAIM], is_active=True, organization__is_active=True
        )
    except (TokenError, KeyError, TypeError, ValidationError, User.DoesNotExist) as error:
        raise InvalidToken("This refresh token is not valid, or not any more.") from error
    # The library checks this for access tokens alone.
    if not hmac.compare_digest(
        str(token.get(api_settings.REVOKE_TOKEN_CLAIM)).encode(),
        get_md5_hash_password(user.password).encode(),
    ):
        raise InvalidToken("This refresh token is not valid, or not any more.")
    if not is_current(token, user):
        raise InvalidToken("This refresh token is not valid, or not any more.")
    return token, user


def _revoke(token: SessionToken) -> None:
    # Of two requests at once the row's uniqueness lets one succeed.
    revoked: bool = token.blacklist()[1]  # type: ignore[index]
    if not revoked:
        if FAMILY in token:
            # Used twice, by two requests at once.
            token.end_family()
        raise InvalidToken("This refresh token is not valid, or not any more.")
