"""How often a password was guessed in vain for one address, from wherever: who has many addresses of their own is not
bounded by a count of each."""

from apps.users import windows
from apps.users.channels import Channel
from apps.users.hashing import recipient_hash
from apps.users.windows import SECOND, Standing

FAILURES, HOUR = 50, 3600 * SECOND
"""So many in vain within an hour, then nobody signs in at this address until some are forgotten."""


def standing(email: str) -> Standing:
    """What is left; to be asked before a password is looked at."""
    return windows.take(_name(email), limit=FAILURES, weight=0, length=HOUR)


def count(email: str) -> None:
    windows.take(_name(email), limit=FAILURES, weight=1, length=HOUR)


def _name(email: str) -> str:
    return f"guesses:{recipient_hash(Channel.EMAIL, email)}"
