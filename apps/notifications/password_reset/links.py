"""The link of a password reset: it sets a new password, once, within an hour.

Its token is Django's: it becomes invalid when the password or the address changes, when the account is deactivated,
and by its age.
"""

import base64
import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db import transaction
from django.db.models import QuerySet

from apps.users.models import User

PATH = "password-reset"


class _Tokens(PasswordResetTokenGenerator):
    def _make_hash_value(self, user: Any, timestamp: int) -> str:
        return f"{super()._make_hash_value(user, timestamp)}{user.epoch}"


_tokens = _Tokens()


def candidates(email: str, organization: str = "") -> list[User]:
    """The users with this address whose password may be reset, at most one for each organization.

    A user who never had a password is a recipient without an account.
    """
    people = _accounts().filter(User.at(email))
    if organization:
        people = people.filter(organization__slug=organization)
    return [person for person in people if person.has_usable_password()]


def code_for(user: User) -> str:
    """The code of the user's link."""
    identity = base64.urlsafe_b64encode(user.pk.bytes).rstrip(b"=").decode()
    # One string without separators that break it, so that the log masks it like every long token.
    return f"{identity}:{_tokens.make_token(user)}"


def page_for(user: User) -> str:
    """The URL of the page with the form for the new password. PUBLIC_URL must be set."""
    return f"{settings.PUBLIC_URL}/{PATH}/{code_for(user)}/"


def read(code: str) -> User | None:
    """The user whose password the code sets; None for an invalid, used or expired code."""
    identity, _, token = code.partition(":")
    try:
        pk = uuid.UUID(bytes=base64.urlsafe_b64decode(identity + "=="))
    except ValueError:
        return None
    user = _accounts().filter(pk=pk).first()
    return user if user is not None and _tokens.check_token(user, token) else None


def finish(code: str, password: str) -> User | None:
    """Set this password, which a form has validated, for the code's user; None for an invalid or used code."""
    with transaction.atomic():
        user = read(code)
        # Locked, then checked again: of two concurrent requests the second finds the code used.
        if user is None or not User.objects.select_for_update().filter(pk=user.pk, password=user.password):
            return None
        user.set_password(password)
        user.save(update_fields=["password", "updated_at"])
    return user


def _accounts() -> QuerySet[User]:
    people = User.objects.filter(is_active=True, erased_at=None, organization__is_active=True)
    return people.select_related("organization")
