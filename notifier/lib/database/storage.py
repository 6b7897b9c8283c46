"""Which database is beneath: the one place that asks.

PostgreSQL runs the system; SQLite runs the local default alone. A function whose SQL only PostgreSQL understands is
an `operation`, and has a portable twin beside it with the same signature and the same meaning:

    @storage.operation
    def lock(name: str) -> bool: ...        # PostgreSQL

    @lock.portable
    def _lock(name: str) -> bool: ...       # the local default
"""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

from django.db import connection

P = ParamSpec("P")
R = TypeVar("R")

operations: list["Operation[..., Any]"] = []


def vendor() -> str:
    """The database's name in Django: `postgresql` or `sqlite`."""
    return str(connection.vendor)


def on_postgresql() -> bool:
    return vendor() == "postgresql"


class Operation(Generic[P, R]):
    """A function with two implementations; each call takes the one of the database that is connected."""

    __name__: str

    def __init__(self, postgresql: Callable[P, R]) -> None:
        update_wrapper(self, postgresql)
        self.postgresql = postgresql
        self.twin: Callable[P, R] | None = None
        operations.append(self)

    def portable(self, twin: Callable[P, R]) -> Callable[P, R]:
        """Decorates the twin."""
        self.twin = twin
        return twin

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if on_postgresql():
            return self.postgresql(*args, **kwargs)
        if self.twin is None:
            raise NotImplementedError(f"{self.__name__} has no portable twin")
        return self.twin(*args, **kwargs)


operation = Operation
