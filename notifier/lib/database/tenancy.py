"""Tenancy: while a request of an organization runs, its queries reach no other organization's rows.

Views filter by the caller's organization themselves; this is the safeguard for a view that forgets to.
Workers, commands and superusers act for no single organization: they see every row.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from django.db import models

_caller: ContextVar[Any] = ContextVar("organization", default=None)
Row = TypeVar("Row", bound=models.Model)


def enter(organization_id: Any) -> None:
    """From here on, until the request's `fresh` ends, queries see this organization's rows alone."""
    _caller.set(organization_id)


@contextmanager
def fresh() -> Iterator[None]:
    """Run a request without an organization, and reset at its end what it has set: threads serve many requests."""
    before = _caller.set(None)
    try:
        yield
    finally:
        _caller.reset(before)


everywhere = fresh
"""For the few queries over all organizations within a request, such as how much is due in all."""


class TenantManager(models.Manager[Row]):
    """Filters by the current organization. A model's `organization_path` is the look-up from a row to it; the default
    is `organization`."""

    def get_queryset(self) -> models.QuerySet[Row]:
        rows = super().get_queryset()
        own = _caller.get()
        path = getattr(self.model, "organization_path", "organization")
        return rows if own is None else rows.filter(**{path: own})
