"""Reads a maildir of bounces: each mail is read once and moved to another folder, and none is deleted."""

from collections import Counter
from pathlib import Path

import structlog

from apps.notifications.channels.email.message import Forged
from apps.notifications.feedback import dsn, tracking_events

log = structlog.get_logger(__name__)

SOURCE = "@bounces"
"""The source of these tracking events; no provider account can have this name."""
ASIDE = ".Aside"
"""The maildir's folder (in the Maildir++ form) for mails that are no bounce of ours."""


class NotAMaildir(Exception):
    """The folder is no maildir; the message names what is missing."""


def check(maildir: Path) -> None:
    """Raises NotAMaildir for a folder without `new` or `cur`."""
    for name in ("new", "cur"):
        if not (maildir / name).is_dir():
            raise NotAMaildir(f"{maildir} is no maildir: it has no folder {name}.")


def read_new(maildir: Path) -> Counter[str]:
    """Read the new mails. Returns by kind how many events were applied or stored for later (`aside`: put aside).

    Each mail is moved after its event is stored, so that reading one twice changes nothing. Raises OSError and
    DatabaseError; a mail that was not moved is read the next time.
    """
    counts: Counter[str] = Counter()
    for mail in sorted((maildir / "new").iterdir()):
        if not mail.is_file() or mail.is_symlink():
            continue
        try:
            with mail.open("rb") as file:
                octets = file.read(dsn.SIZE_LIMIT)
        except FileNotFoundError:
            # Another reader has moved it.
            continue
        counts[_process(maildir, mail, octets)] += 1
    return counts


def _process(maildir: Path, mail: Path, octets: bytes) -> str:
    reason = ""
    try:
        reported = dsn.read(octets)
    except dsn.NotABounce as error:
        reason = str(error)
    except Forged:
        reason = "forged return path"
    except Exception:
        # Anybody can send mail here, and one unreadable mail must not block the others.
        log.exception("bounce_unreadable", mail=mail.name)
        reason = "unreadable"
    if reason:
        log.warning("bounce_put_aside", mail=mail.name, reason=reason)
        _file(mail, maildir / ASIDE / "new")
        return "aside"
    tracking_events.record(SOURCE, [reported])
    _file(mail, maildir / "cur", flags="S")
    return str(reported.kind)


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
