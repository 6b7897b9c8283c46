"""Failed sign-ins per email address, from whichever network: a limit per network alone does not stop an attacker who
has many networks."""

from apps.users.models import User
from apps.users.recipient_hashes import recipient_hash
from notifier.channels.email import EMAIL
from notifier.lib.redis import sliding_window
from notifier.lib.redis.sliding_window import SECOND, Standing

FAILURES, HOUR = 50, 3600 * SECOND
"""After so many failures within an hour (`HOUR` is in microseconds) no sign-in with this address is accepted until
some of them are older than that."""


def standing(email: str) -> Standing:
    """The failures that are left; the caller checks it before it checks a password."""
    return sliding_window.take(_name(email), limit=FAILURES, weight=0, length=HOUR)


def count(*emails: str) -> None:
    """Count one failed sign-in for these addresses; spellings of the same mailbox count once."""
    for name in {_name(email) for email in emails}:
        sliding_window.take(name, limit=FAILURES, weight=1, length=HOUR)


def check_password(user: User, password: str) -> bool:
    """Whether this is the password of a person who is signed in already; a wrong one counts as a failed sign-in."""
    correct = user.check_password(password)
    if not correct:
        count(user.email)
    return correct


def _name(email: str) -> str:
    return f"guesses:{recipient_hash(EMAIL.code, email)}"
