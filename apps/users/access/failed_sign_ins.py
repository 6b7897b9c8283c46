"""How often a password was guessed in vain for one address, from wherever: who has many addresses of their own is not
bounded by a count of each."""

from apps.users.channels import Channel
from apps.users.models import User
from apps.users.recipient_hashes import recipient_hash
from notifier.lib.redis import sliding_window
from notifier.lib.redis.sliding_window import SECOND, Standing

FAILURES, HOUR = 50, 3600 * SECOND
"""So many in vain within an hour, then nobody signs in at this address until some are forgotten."""


def standing(email: str) -> Standing:
    """What is left; to be asked before a password is looked at."""
    return sliding_window.take(_name(email), limit=FAILURES, weight=0, length=HOUR)


def count(*emails: str) -> None:
    """One guess in vain at these addresses, of which some may be spellings of others."""
    for name in {_name(email) for email in emails}:
        sliding_window.take(name, limit=FAILURES, weight=1, length=HOUR)


def is_right(user: User, password: str) -> bool:
    """Whether this is the password of somebody who is signed in already; counted like a sign-in's where it isn't."""
    right = user.check_password(password)
    if not right:
        count(user.email)
    return right


def _name(email: str) -> str:
    return f"guesses:{recipient_hash(Channel.EMAIL, email)}"
