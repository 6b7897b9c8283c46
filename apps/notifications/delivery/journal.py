"""The journal of a sender process: which sends it has begun and how they ended, in a file that survives a kill -9.

It gets a line before the irrevocable step and a line after the provider's reply; the rows themselves are written in
bulk afterwards. A plain append is enough when the process dies: the kernel has the data. A host that goes down may
lose some, and then its files prove nothing (see `crash_recovery`).

The process that writes a file holds a lock on it: a process that gets the lock knows that the writer is dead.
"""

import fcntl
import json
import os
import secrets
import socket
import threading
from dataclasses import fields
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings

from apps.notifications.channels.outcome import Outcome, Result

log = structlog.get_logger(__name__)

SUFFIX = ".journal"
ROTATE_AT = 1024 * 1024
"""Bytes after which new batches write to a new file; the old one is removed with its last batch."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
BOOT = _BOOT_ID.read_text().strip()[:8] if _BOOT_ID.exists() else secrets.token_hex(4)
"""Identifies this boot of the host. Elsewhere than on Linux it identifies this process, and no other process trusts
its files."""


_KEYS = {field.name: field.name for field in fields(Outcome) if field.name != "feedback"} | {
    "provider_error": "provider_fault",
}
"""By an outcome's field, its key in a line. A process of the previous release may have written the line, or may have
to read it: the keys outlive the names in the code."""
_FIELDS = {key: name for name, key in _KEYS.items()}
_encode = json.JSONEncoder(separators=(",", ":")).encode


Records = dict[tuple[str, int], tuple[Outcome, str] | None]
"""By row id and fence: the claim's outcome and the account's name; None if the process died before the provider's
reply."""


class Segment:
    """One journal file. Thread-safe: each line is one write."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        self.name = f"{socket.gethostname()}.{BOOT}.{os.getpid()}.{secrets.token_hex(4)}"
        self._path = folder / f"{self.name}{SUFFIX}"
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._size = 0
        self.batches = 0

    @property
    def full(self) -> bool:
        return self._size >= ROTATE_AT

    def begin(self, pk: Any, fence: int) -> bool:
        """Note that the row's message is about to be sent. False: it couldn't be noted, so it must not be sent."""
        return self._write(f"begun {pk} {fence}\n")

    def answer(self, pk: Any, fence: int, outcome: Outcome, provider: str) -> None:
        """Note the outcome. If that fails, a crash before the row is recorded leaves the row `unknown`."""
        fields_set = {key: value for name, key in _KEYS.items() if (value := getattr(outcome, name))}
        self._write(f"answered {pk} {fence} {_encode([provider, fields_set])}\n")

    def remove(self) -> None:
        """Delete the file and release its lock."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)

    def _write(self, line: str) -> bool:
        octets = line.encode("utf-8", "replace")
        try:
            whole = os.write(self._file, octets) == len(octets)
        except OSError as error:
            log.error("journal_not_written", file=self._path.name, reason=str(error))
            return False
        self._size += len(octets)
        return whole


class Journal:
    """This process's current segment, and the rotation to the next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._segment: Segment | None = None
        self._pid = 0

    def open(self) -> Segment:
        """The segment for a batch that begins now; `close` it when every row of it is recorded. Raises OSError."""
        with self._lock:
            if self._segment is None or self._segment.full or self._pid != os.getpid():
                if self._segment is not None and not self._segment.batches and self._pid == os.getpid():
                    self._segment.remove()
                self._segment, self._pid = Segment(settings.JOURNAL_DIR), os.getpid()
            self._segment.batches += 1
            return self._segment

    def close(self, segment: Segment) -> None:
        """A batch that `open` gave this segment to is recorded; a rotated segment without batches is removed."""
        with self._lock:
            segment.batches -= 1
            if not segment.batches and segment is not self._segment:
                segment.remove()

    def end(self) -> None:
        """Remove the file, unless some of its rows are not recorded yet."""
        with self._lock:
            if self._segment is not None and not self._segment.batches and self._pid == os.getpid():
                self._segment.remove()
                self._segment = None


def read(path: Path) -> Records:
    """Read a dead process's file. A line that was cut short is ignored."""
    found: Records = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        kind, _, rest = line.partition(" ")
        columns = rest.split(" ", 2)
        try:
            key = columns[0], int(columns[1])
            if kind == "begun":
                found[key] = None
            elif kind == "answered":
                provider, written = json.loads(columns[2])
                known = {_FIELDS[key]: value for key, value in written.items()}
                outcome = Outcome(**{**known, "result": Result(known["result"])})
                found[key] = outcome, provider
        except (ValueError, LookupError, TypeError) as error:
            log.warning("journal_line_not_read", file=path.name, reason=type(error).__name__)
    return found
