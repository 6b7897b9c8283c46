"""Coming back from a database that was away."""

import structlog
from django.db import InterfaceError, InternalError, OperationalError, connection

log = structlog.get_logger(__name__)

AWAY = (OperationalError, InterfaceError, InternalError)
"""How a database says that it can't be used now (a standby that takes no writes among it), and not that what
it was given is wrong."""


def forget_broken_connections() -> None:
    """Close this thread's connection, and drop from the pool those that died with the server.

    Without it each of them is found out by a query that fails: with eight kept ones, eight failures.
    """
    connection.close()
    pool = getattr(connection, "pool", None)
    if pool is not None:
        try:
            pool.check()
        except connection.Database.Error as fault:  # type: ignore[attr-defined]
            log.warning("pool_not_checked", reason=str(fault))
