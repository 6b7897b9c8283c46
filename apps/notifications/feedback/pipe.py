"""Reads one bounce that a mail server pipes into the command."""

import mailbox
from pathlib import Path
from typing import BinaryIO

from apps.notifications.feedback import bounce_mail, dsn

STDIN = "standard input"
"""What the log calls the mail, which has no name."""


def read_one(stream: BinaryIO, aside: Path) -> str:
    """Read the mail. Returns its event's kind once that is stored, or `aside` once its first `dsn.SIZE_LIMIT` octets
    are in the maildir `aside`, which is made where there is none.

    Raises OSError and DatabaseError; the mail server must keep the mail then.
    """
    octets = stream.read(dsn.SIZE_LIMIT)
    while stream.read(dsn.SIZE_LIMIT):
        # To the end: some mail servers take a pipe that is closed early for a failure.
        continue
    reading = bounce_mail.record(bounce_mail.read(octets, STDIN), STDIN)
    if reading.event is None:
        aside.parent.mkdir(parents=True, exist_ok=True)
        mailbox.Maildir(aside, create=True).add(octets)
    return reading.kind
