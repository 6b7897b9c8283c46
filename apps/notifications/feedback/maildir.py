"""A maildir of bounces: each mail in it is read once and filed, and none is deleted."""

from collections import Counter
from pathlib import Path

import structlog

from apps.notifications.feedback import dsn, tracking_events, verp

log = structlog.get_logger(__name__)

SOURCE = "@bounces"
"""No provider account can have this name."""
ASIDE = ".Aside"
"""A folder of the maildir, as mail programs know them, for what is no bounce of ours."""


class NotAMaildir(Exception):
    pass


def check(maildir: Path) -> None:
    """Raises NotAMaildir for what has not the folders of one."""
    for name in ("new", "cur"):
        if not (maildir / name).is_dir():
            raise NotAMaildir(f"{maildir} is no maildir: it has no folder {name}.")


def republish(maildir: Path) -> Counter[str]:
    """Read what is new: by kind, how many were applied or kept for later (`aside`: put aside).

    Each is filed after its event is stored, so that one that is read twice changes nothing. Raises OSError and
    DatabaseError; what was not filed is read the next time.
    """
    counts: Counter[str] = Counter()
    for mail in sorted((maildir / "new").iterdir()):
        if not mail.is_file() or mail.is_symlink():
            continue
        try:
            with mail.open("rb") as file:
                octets = file.read(dsn.SIZE_LIMIT)
        except FileNotFoundError:
            # Another reader was quicker.
            continue
        counts[_take(maildir, mail, octets)] += 1
    return counts


def _take(maildir: Path, mail: Path, octets: bytes) -> str:
    why = ""
    try:
        told = dsn.read(octets)
    except dsn.NotABounce as error:
        why = str(error)
    except verp.Forged:
        why = "forged return path"
    except Exception:
        # Anybody can send anything here, and one mail must not keep the others.
        log.exception("bounce_unreadable", mail=mail.name)
        why = "unreadable"
    if why:
        log.warning("bounce_put_aside", mail=mail.name, reason=why)
        _file(mail, maildir / ASIDE / "new")
        return "aside"
    tracking_events.take(SOURCE, [told])
    _file(mail, maildir / "cur", flags="S")
    return str(told.kind)


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
