"""While a request of an organization runs, no query reaches another organization's rows.

Views narrow to the caller's organization by themselves; this is what stands behind a view that forgets to.
Workers, commands and superusers are nobody's caller: they see every row.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from django.db import models

_caller: ContextVar[Any] = ContextVar("organization", default=None)
Row = TypeVar("Row", bound=models.Model)


def enter(organization_id: Any) -> None:
    """From here on, and until the request's `fresh` ends, this organization's rows alone are there."""
    _caller.set(organization_id)


@contextmanager
def fresh() -> Iterator[None]:
    """A request: nobody is known yet, and who gets known is forgotten at its end (threads serve many)."""
    before = _caller.set(None)
    try:
        yield
    finally:
        _caller.reset(before)


everywhere = fresh
"""For the few questions about all organizations that a request asks, such as how much waits altogether."""


class TenantManager(models.Manager[Row]):
    """`organization_path` of its model, where it has one, is the look-up from a row to its organization."""

    def get_queryset(self) -> models.QuerySet[Row]:
        rows = super().get_queryset()
        own = _caller.get()
        path = getattr(self.model, "organization_path", "organization")
        return rows if own is None else rows.filter(**{path: own})
