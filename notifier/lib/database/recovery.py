"""Coming back from a database that was away."""

import psycopg
import structlog
from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError, connection

log = structlog.get_logger(__name__)

AWAY = (OperationalError, InterfaceError, InternalError)
"""How a database says that it can't be used now (a standby that takes no writes among it), and not that what
it was given is wrong."""


WRITES_TAKE = 3
"""So many times as long as a list's query may whatever else a request asks of the database; writes wait for locks."""


def bound_statements() -> None:
    """End every statement of this process that takes too long. Before its first connection; for the API alone.

    As an option of the connection, so it costs no round trip. What the URL says in its own `options` comes later, and
    wins.
    """
    if connection.vendor == "postgresql" and settings.QUERY_TIMEOUT:
        options = connection.settings_dict["OPTIONS"]
        milliseconds = int(settings.QUERY_TIMEOUT * WRITES_TAKE * 1000)
        options["options"] = f"-c statement_timeout={milliseconds} {options.get('options', '')}".strip()


def timed_out(error: Exception) -> bool:
    """Whether the database ended a statement that took too long; its connection is as good as before."""
    return isinstance(error.__cause__, psycopg.errors.QueryCanceled)


def forget_broken_connections() -> None:
    """Close this thread's connection, and drop from the pool those that died with the server.

    Without it each of them is found out by a query that fails: with eight kept ones, eight failures.
    """
    connection.close()
    pool = getattr(connection, "pool", None)
    if pool is not None:
        try:
            pool.check()
        except connection.Database.Error as error:  # type: ignore[attr-defined]
            log.warning("pool_not_checked", reason=str(error))
