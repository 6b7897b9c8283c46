"""The channels that there are, in the order in which they are listed everywhere."""

from collections.abc import Mapping

from notifier.channels.declaration import Channel
from notifier.channels.email import EMAIL
from notifier.channels.push import PUSH
from notifier.channels.sms import SMS

CHANNELS: Mapping[str, Channel] = {one.code: one for one in (EMAIL, PUSH, SMS)}
CODES = tuple(CHANNELS)
PERSON_COLUMNS: Mapping[str, str] = {
    one.code: one.address.person_column for one in CHANNELS.values() if one.address.person_column
}
"""By channel: the column of a person that holds its address. The devices' channels are not among them."""
_nouns = [one.address.noun for one in CHANNELS.values()]
NOUNS = f"{', '.join(_nouns[:-1])} or {_nouns[-1]}"
"""What a message may be sent to, in sentences: email address, device token or the like."""


def choices() -> list[tuple[str, str]]:
    """(code, label) of each. As a function: a column that has it needs no migration for another channel."""
    return [(one.code, one.label) for one in CHANNELS.values()]
