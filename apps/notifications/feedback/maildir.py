"""Reads a maildir of bounces: each mail is read once and moved to another folder, and none is deleted."""

from collections.abc import Iterator
from pathlib import Path

import structlog

from apps.notifications.feedback import bounce_mail, dsn

log = structlog.get_logger(__name__)

ASIDE = ".Aside"
"""The maildir's folder (in the Maildir++ form) for mails that are no bounce of ours."""


class NotAMaildir(Exception):
    """The folder is no maildir; the message names what is missing."""


class Maildir:
    """Raises NotAMaildir for a folder without `new` or `cur`."""

    pause = longest_pause = 2.0
    """Seconds between two readings, and between two of them that failed."""

    def __init__(self, path: Path) -> None:
        for name in ("new", "cur"):
            if not (path / name).is_dir():
                raise NotAMaildir(f"{path} is no maildir: it has no folder {name}.")
        self._path = path

    def read_new(self) -> Iterator[str]:
        """Read the new mails. Yields the kind of each event once it is stored (`aside`: put aside).

        Each mail is moved after its event is stored, so that reading one twice changes nothing. Raises OSError and
        DatabaseError; a mail that was not moved is read the next time.
        """
        for mail in sorted((self._path / "new").iterdir()):
            if not mail.is_file() or mail.is_symlink():
                continue
            try:
                with mail.open("rb") as file:
                    octets = file.read(dsn.SIZE_LIMIT)
            except FileNotFoundError:
                # Another reader has moved it.
                continue
            reading = bounce_mail.record(bounce_mail.read(octets, mail.name), mail.name)
            if reading.event is None:
                _file(mail, self._path / ASIDE / "new")
            else:
                _file(mail, self._path / "cur", flags="S")
            yield reading.kind


def _file(mail: Path, folder: Path, flags: str = "") -> None:
    if folder.parent.name == ASIDE:
        for name in ("cur", "new", "tmp"):
            (folder.parent / name).mkdir(parents=True, exist_ok=True)
    name = mail.name.partition(":")[0]
    target = folder / (f"{name}:2,{flags}" if flags else name)
    while target.exists():
        name += "_"
        target = folder / (f"{name}:2,{flags}" if flags else name)
    try:
        mail.rename(target)
    except FileNotFoundError:
        log.info("bounce_filed_by_another", mail=mail.name)
