"""Quotas: how many rows of a kind one organization may have. The numbers are settings, and errors name them."""

import threading
import time
from collections.abc import Hashable, Sequence
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from rest_framework.exceptions import APIException

COUNT_STANDS = 30.0
"""Seconds for which the count of a large table is cached: rows that arrive meanwhile may exceed the quota."""
LARGE = 10_000


class QuotaReached(APIException):
    status_code = 409
    default_code = "quota_reached"


def check(name: str, organization: Hashable, rows: QuerySet[Any], what: str) -> None:
    """Raises QuotaReached where the organization has `reached` the quota; `what` names the rows in the message."""
    if reached(name, organization, rows):
        raise QuotaReached(
            f"This organization has {getattr(settings, name)} {what} already, which is its quota ({name}); remove "
            "some, or ask the operator of this host for more."
        )


def reached(name: str, organization: Hashable, *rows: QuerySet[Any]) -> bool:
    """Whether the organization (its primary key) has as many rows as the setting `name` allows, counted over all of
    `rows`."""
    limit: int = getattr(settings, name)
    if limit <= LARGE:
        return _count(rows, limit) >= limit
    # One setting may stand for several kinds of rows, each with a count of its own.
    key = (name, organization, *(some.model for some in rows))
    with _lock:
        count, at = _known.get(key, (0, float("-inf")))
    if time.monotonic() - at >= COUNT_STANDS:
        count = _count(rows, limit)
        with _lock:
            if len(_known) > LARGE:
                _known.clear()
            _known[key] = (count, time.monotonic())
    return count >= limit


def _count(rows: Sequence[QuerySet[Any]], enough: int) -> int:
    """How many there are, counted no further than `enough`."""
    found = 0
    for some in rows:
        found += some.order_by()[: enough - found].count() if found < enough else 0
    return found


_known: dict[Hashable, tuple[int, float]] = {}
_lock = threading.Lock()
