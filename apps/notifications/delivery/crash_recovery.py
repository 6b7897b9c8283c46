"""What dead sender processes left: their journals say which of their rows went out, may have, or never did."""

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from apps.notifications.channels.outcome import Result
from apps.notifications.delivery.journal import BOOT, SUFFIX, Entry, read
from apps.notifications.models import DELIVERIES, Delivery
from apps.notifications.models.claimed import ClaimedDelivery
from apps.notifications.models.statuses import SENDER_MOVES, Status, movable_to
from apps.notifications.transitions import claims, outcomes
from apps.notifications.transitions.recording import Done, record_all
from notifier.lib.database.encryption import Undecryptable
from notifier.lib.database.recovery import forget_broken_connections

log = structlog.get_logger(__name__)

EVERY_SECONDS = 5.0
GRACE_SECONDS = 4.0
"""A claim that its sender's end overtook may still be committed by the database: a file is looked at once more."""
RESEND_SECONDS = 20.0
"""A process that dies again and again must not use up the one resend of what it holds."""
LOST = "sender_lost"


class CrashRecovery:
    """One thread a sender process: at its start and every few seconds."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._said = ""
        self._settled_at: dict[Path, float] = {}

    def start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="janitor", daemon=True)
            self._thread.start()

    def turn(self) -> int:
        """Settle the journals whose writers are dead; how many rows moved. Raises OSError, DatabaseError."""
        moved = 0
        for path in sorted(Path(settings.JOURNAL_DIR).glob(f"*{SUFFIX}")):
            try:
                moved += self._settle(path)
            except Undecryptable as error:
                # Its rows are unknown once their lease is over; the other files need not wait for that.
                log.error("journal_not_settled", file=path.name, reason=str(error))
        return moved

    def _settle(self, path: Path) -> int:
        try:
            file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return 0
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            moved = _replay(path.stem, read(path))
            now = time.monotonic()
            if now - self._settled_at.setdefault(path, now) >= GRACE_SECONDS:
                path.unlink(missing_ok=True)
                del self._settled_at[path]
        except (BlockingIOError, FileNotFoundError):
            # Its writer lives, or another janitor is at it or was quicker. One that was found before its writer had
            # locked it is not settled.
            self._settled_at.pop(path, None)
            return 0
        finally:
            os.close(file)
        if moved:
            log.warning("dead_senders_rows_settled", sender=path.stem, rows=moved)
        return moved

    def _run(self) -> None:
        ends = threading.Event()
        while True:
            try:
                self.turn()
                self._said = ""
            except OSError as error:
                if str(error) != self._said:
                    log.error("journals_not_read", folder=str(settings.JOURNAL_DIR), reason=str(error))
                self._said = str(error)
            except DatabaseError as error:
                log.warning("journals_not_settled", reason=str(error))
                forget_broken_connections()
            except Exception:
                # Without this thread dead senders' rows would wait for their lease.
                log.exception("janitor_failed")
            connection.close()
            ends.wait(EVERY_SECONDS)


def _replay(name: str, entries: dict[tuple[str, int], Entry]) -> int:
    # A file of an earlier run of the machine may have lost lines with it: nothing in it is a proof.
    believed = f".{BOOT}." in name
    moved = 0
    for model in DELIVERIES.values():
        moved += _answered(model, entries) if believed else 0
        for row in claims.of_sender(model, name):
            entry = entries.get((str(row.pk), row.fence))
            if entry is None and believed:
                claims.release(model, [row.pk], row.claimed_by)
            else:
                with transaction.atomic():
                    outcomes.unknown(
                        row,
                        LOST,
                        f"The sender {row.claimed_by} stopped.",
                        attempts=row.attempts + 1,
                        resend_in=RESEND_SECONDS,
                    )
            moved += 1
    return moved


def _answered(model: type[Delivery], entries: dict[tuple[str, int], Entry]) -> int:
    """Write down what the dead process knew; a row that was claimed again since has another fence."""
    known = {pk: (fence, entry) for (pk, fence), entry in entries.items() if entry.outcome is not None}
    if not known:
        return 0
    rows: Any = model.objects.filter(  # type: ignore[attr-defined]
        pk__in=list(known), status__in=movable_to(Status.SENT, SENDER_MOVES)
    )
    done = []
    for row in claims.complete(rows):
        fence, entry = known[str(row.pk)]
        if row.fence != fence or entry.outcome is None:
            continue
        if row.status != Status.QUEUED or entry.outcome.result is Result.SENT:
            done.append(Done(ClaimedDelivery.of(row), entry.outcome, entry.provider, time.monotonic()))
    record_all(done)
    return len(done)


crash_recovery = CrashRecovery()
