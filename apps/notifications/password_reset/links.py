"""A forgotten password: a link that sets a new one, once, within the hour.

Its token is Django's: it dies with the password that it replaces, with the account's address, when the account is
switched off, and by its age.
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
    """Those whose password may be set anew by whoever reads mail at this address, one an organization.

    Somebody who never had a password is a recipient and no account.
    """
    people = _accounts().filter(User.at(email))
    if organization:
        people = people.filter(organization__slug=organization)
    return [person for person in people if person.has_usable_password()]


def code_for(user: User) -> str:
    held = base64.urlsafe_b64encode(user.pk.bytes).rstrip(b"=").decode()
    # One unbroken run, which the log masks as it does every long token.
    return f"{held}:{_tokens.make_token(user)}"


def page_for(user: User) -> str:
    """The address of the page that takes the new password. PUBLIC_URL must be set."""
    return f"{settings.PUBLIC_URL}/{PATH}/{code_for(user)}/"


def read(code: str) -> User | None:
    """Whose password the code sets; None where it isn't one of ours, or not any more."""
    held, _, token = code.partition(":")
    try:
        pk = uuid.UUID(bytes=base64.urlsafe_b64decode(held + "=="))
    except ValueError:
        return None
    user = _accounts().filter(pk=pk).first()
    return user if user is not None and _tokens.check_token(user, token) else None


def finish(code: str, password: str) -> User | None:
    """Give the code's person this password, which a form has checked; None where the code is spent."""
    with transaction.atomic():
        user = read(code)
        # Locked, then looked at again: of two at once the second finds the code spent.
        if user is None or not User.objects.select_for_update().filter(pk=user.pk, password=user.password):
            return None
        user.set_password(password)
        user.save(update_fields=["password", "updated_at"])
    return user


def _accounts() -> QuerySet[User]:
    people = User.objects.filter(is_active=True, erased_at=None, organization__is_active=True)
    return people.select_related("organization")
