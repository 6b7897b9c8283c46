"""Coming back from a database that was away.

DATABASE_ERRORS   whatever a database or its driver raises
└── AWAY          of these: it can't be used now
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, InternalError, OperationalError, connection

from notifier.lib.database import storage

log = structlog.get_logger(__name__)

DATABASE_ERRORS = (DatabaseError, InterfaceError)
"""Django's InterfaceError, which a lost connection raises, is no DatabaseError: catch both."""
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
    if storage.on_postgresql() and settings.QUERY_TIMEOUT:
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


LAST_TRIES = 6
"""How often, 4 s apart, a stopping process still tries to write down what it knows."""


def retry_until_recorded(event: str, work: Callable[[], Any], *, stopping: threading.Event) -> None:
    """Do `work` on the database until it is done, however long that is away, with a pause of 0.5 to 8 s between
    tries.

    `event`: what the log says of each try in vain. Raises one of `AWAY` only once the process is `stopping`.
    """
    tried = last_tries = 0
    while True:
        try:
            work()
            return
        except AWAY as error:
            forget_broken_connections()
            tried += 1
            log.error(event, tried=tried, reason=str(error))
            last_tries += stopping.is_set()
            if last_tries > LAST_TRIES:
                raise
            time.sleep(4.0 if stopping.is_set() else min(0.25 * 2.0 ** min(tried, 5), 8.0))
