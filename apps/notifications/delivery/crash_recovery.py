"""Recovery after a sender process died: its journal shows which of its rows went out, may have, or never did."""

import fcntl
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.channels.outcome import Result
from apps.notifications.delivery.journal import BOOT, SUFFIX, Records, read
from apps.notifications.models import Delivery
from apps.notifications.models.deliveries import ClaimedDelivery
from apps.notifications.models.statuses import Status
from apps.notifications.transitions import claims, outcomes
from apps.notifications.transitions.attempts import DeliveryAttempt
from apps.notifications.transitions.status_changes import SENDER_MOVES, movable_to
from notifier.lib.database.encryption import Undecryptable

log = structlog.get_logger(__name__)

EVERY_SECONDS = 5.0
GRACE_SECONDS = 4.0
"""The database may commit a claim after its sender has died: a file is read once more after this."""
RESEND_SECONDS = 20.0
"""Delay of a resend: a process that dies again and again must not use up the one resend of its rows."""
LOST = "sender_lost"


class CrashRecovery:
    """Settles the rows of dead sender processes. `recover` runs at a worker's start and every few seconds."""

    def __init__(self) -> None:
        self._settled_at: dict[Path, float] = {}

    def recover(self) -> int:
        """Settle the journals whose writers are dead; returns how many rows moved. Raises OSError, DatabaseError."""
        moved = 0
        for path in sorted(Path(settings.JOURNAL_DIR).glob(f"*{SUFFIX}")):
            try:
                moved += self._settle(path)
            except Undecryptable as error:
                # Its rows become `unknown` once their lease is over; the other files need not wait for that.
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
            # Its writer is alive, or another process's crash recovery has the lock or has removed the file. A file
            # that was found before its writer had locked it is not settled.
            self._settled_at.pop(path, None)
            return 0
        finally:
            os.close(file)
        if moved:
            log.warning("dead_senders_rows_settled", sender=path.stem, rows=moved)
        return moved


def _replay(name: str, records: Records) -> int:
    # The host may have lost the last lines when it went down: a file from before a reboot proves nothing.
    trusted = f".{BOOT}." in name
    moved = 0
    for model in DELIVERIES.values():
        moved += _record_answered(model, records) if trusted else 0
        not_begun = defaultdict(list)
        for row in claims.of_sender(model, name):
            if (str(row.pk), row.fence) not in records and trusted:
                not_begun[row.claimed_by].append(row.pk)
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
        for token, pks in not_begun.items():
            claims.give_back(model, token, pks)
    return moved


def _record_answered(model: type[Delivery], records: Records) -> int:
    """Record the outcomes in a dead process's journal; a row that was claimed again since has another fence."""
    answers = {pk: (fence, answer) for (pk, fence), answer in records.items() if answer is not None}
    if not answers:
        return 0
    rows: Any = model.objects.filter(  # type: ignore[attr-defined]
        pk__in=list(answers), status__in=movable_to(Status.SENT, SENDER_MOVES)
    )
    attempts = []
    for row in rows.complete():
        fence, (outcome, provider) = answers[str(row.pk)]
        if row.fence == fence and (row.status != Status.QUEUED or outcome.result is Result.SENT):
            attempts.append(DeliveryAttempt(ClaimedDelivery.of(row)).ended(outcome, provider))
    outcomes.record_attempts(attempts)
    return len(attempts)
