"""What one organization may keep. The numbers are the host's (settings); whoever reaches one is told which."""

import threading
import time
from collections.abc import Hashable
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from rest_framework.exceptions import APIException

COUNT_STANDS = 30.0
"""Seconds for which a large table's count is believed: what comes in meanwhile may go past the quota."""
LARGE = 10_000


class QuotaReached(APIException):
    status_code = 409
    default_code = "quota_reached"


def check(name: str, rows: QuerySet[Any], what: str) -> None:
    """Raises QuotaReached where `rows`, all of an organization's, are as many as the setting `name` allows."""
    limit: int = getattr(settings, name)
    if _count(name, rows, limit) >= limit:
        raise QuotaReached(
            f"This organization has {limit} {what} already, which is its quota ({name}); remove some, or ask whoever "
            f"runs this host for more."
        )


def _count(name: str, rows: QuerySet[Any], limit: int) -> int:
    if limit <= LARGE:
        return rows.order_by()[:limit].count()
    key = (name, str(rows.query))
    with _lock:
        count, at = _known.get(key, (0, float("-inf")))
        if time.monotonic() - at < COUNT_STANDS:
            return count
    count = rows.order_by()[:limit].count()
    with _lock:
        if len(_known) > LARGE:
            _known.clear()
        _known[key] = (count, time.monotonic())
    return count


_known: dict[Hashable, tuple[int, float]] = {}
_lock = threading.Lock()
