"""A callback's lease: renewed while this process lives, never past the claim's own deadline.

The database decides which worker a row belongs to; the process's own view of it is kept on the monotonic clock.
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

from apps.notifications.channels.logs import WAITING
from apps.notifications.models import from_now
from apps.notifications.models.statuses import Status
from notifier.lib.database.recovery import DATABASE_ERRORS, forget_broken_connections
from notifier.lib.threads import Loop


@dataclass(eq=False)
class Lease:
    """The lease of one claimed row. `expires`, `deadline`: on the monotonic clock."""

    channel: str
    pk: Any
    fence: int
    expires: float
    deadline: float


class LeaseKeeper:
    """Renews the leases of this process, in one thread."""

    def __init__(self) -> None:
        self.worker = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._held: set[Lease] = set()
        self._lock = threading.Lock()
        self._loop = Loop("leases", self._renew_all, every=lambda: settings.LEASE_SECONDS / 4)

    @contextmanager
    def hold(self, channel: str, pk: Any, fence: int, *, claimed_at: float) -> Iterator[None]:
        """Renew the row's lease inside the context. `claimed_at`: the monotonic clock before the claim was sent, so
        that the lease is never taken to last longer than it does."""
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
                # An unrenewed lease lapses, and the callback is posted again; a database that was only restarted must
                # not lead to that.
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
