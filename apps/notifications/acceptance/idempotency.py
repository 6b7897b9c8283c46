"""Idempotency keys: a repeated request makes one notification. Its answer is stored in the request's transaction."""

import hashlib
from dataclasses import dataclass
from typing import Any

from django.db import connection

from apps.notifications.errors import InProgress, Invalid, KeyReused
from apps.notifications.models import IdempotencyRecord
from apps.users.access.authentication import Caller
from notifier.lib.database import storage

KEY_LIMIT = 255


def read_key(header: str) -> str:
    """The Idempotency-Key header's value, bare or quoted. Raises Invalid."""
    key = header.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not 0 < len(key) <= KEY_LIMIT or not key.isascii() or not key.isprintable():
        raise Invalid.at(
            "Idempotency-Key",
            "invalid",
            f"Send 1 to {KEY_LIMIT} visible ASCII characters, or no such header.",
        )
    return key


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request with an idempotency key. Use inside the transaction that does the request's work."""

    caller: Caller
    path: str
    key: str
    body_hash: str

    def earlier(self) -> IdempotencyRecord | None:
        """The stored answer of an earlier request with this key, if any. Raises KeyReused or InProgress."""
        self._lock()
        record = IdempotencyRecord.objects.filter(
            organization=self.caller.organization, caller=self.caller.name, path=self.path, key=self.key
        ).first()
        if record is not None and record.body_hash != self.body_hash:
            raise KeyReused("This Idempotency-Key came with another body before; use a new key.")
        return record

    def keep(self, status_code: int, answer: Any, location: str) -> None:
        """Store the answer, for repeats of the request."""
        IdempotencyRecord.objects.create(
            organization=self.caller.organization,
            caller=self.caller.name,
            path=self.path,
            key=self.key,
            body_hash=self.body_hash,
            status_code=status_code,
            answer=answer,
            location=location,
        )

    def _lock(self) -> None:
        name = f"{self.caller.organization.pk}\0{self.caller.name}\0{self.path}\0{self.key}"
        if not _locked(name):
            raise InProgress(
                "The first request with this Idempotency-Key is still running.",
                headers={"Retry-After": "1"},
            )


@storage.operation
def _locked(name: str) -> bool:
    """Try to take the advisory lock of this name, held until the transaction ends; False if another one holds it."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        return bool(cursor.fetchone()[0])


@_locked.portable
def _locked_portably(name: str) -> bool:
    # SQLite runs one writing transaction at a time anyway.
    return True
