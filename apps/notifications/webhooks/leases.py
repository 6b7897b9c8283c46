"""A callback's lease: renewed while this process lives, never past the claim's own deadline.

The database decides whom a row belongs to; the process's own view of it is kept on the monotonic clock.
"""

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from apps.notifications.models import WAITING, from_now
from apps.notifications.models.statuses import Status
from notifier.lib.database.recovery import DATABASE_ERRORS, forget_broken_connections
from notifier.lib.threads import Loop


@dataclass(eq=False)
class Lease:
    """One claimed row."""

    channel: str
    pk: Any
    fence: int
    expires: float
    deadline: float


class LeaseKeeper:
    """Renews what this process holds, from one thread."""

    def __init__(self) -> None:
        self.worker = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._held: set[Lease] = set()
        self._lock = threading.Lock()
        self._loop = Loop("leases", self._renew_all, every=lambda: settings.LEASE_SECONDS / 4)

    @contextmanager
    def hold(self, channel: str, pk: Any, fence: int, *, claimed_at: float) -> Iterator[None]:
        """`claimed_at`: the monotonic clock from before the claim was sent, so that we err on the safe side."""
        lease = Lease(
            channel,
            pk,
            fence,
            expires=claimed_at + settings.LEASE_SECONDS,
            deadline=claimed_at + settings.CLAIM_DEADLINE_SECONDS,
        )
        with self._lock:
            self._held.add(lease)
        self._loop.start()
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(lease)

    def _renew_all(self) -> None:
        with self._lock:
            held = list(self._held)
        for last in (False, True):
            try:
                for lease in held:
                    self._renew(lease)
                return
            except DATABASE_ERRORS:
                # Unrenewed, a lease runs out and its sender stops by itself; a server that was only restarted must
                # not come to that.
                if last:
                    raise
                forget_broken_connections()

    def _renew(self, lease: Lease) -> None:
        now = time.monotonic()
        if now - (lease.expires - settings.LEASE_SECONDS) < settings.LEASE_SECONDS / 8:
            return
        until = min(settings.LEASE_SECONDS, lease.deadline - now)
        if until > 0 and (
            WAITING[lease.channel]
            .objects.filter(pk=lease.pk, fence=lease.fence, status=Status.SENDING)
            .update(lease_until=from_now(until))
        ):
            lease.expires = now + until


keeper = LeaseKeeper()
