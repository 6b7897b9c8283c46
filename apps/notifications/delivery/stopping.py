"""Writing down what a sender knows, however long the database is away."""

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

from notifier.lib.database.recovery import AWAY, forget_broken_connections

log = structlog.get_logger(__name__)

stopping = threading.Event()
"""Set when the process is asked to end: what is not begun is left to others."""

LAST_WAITS = 6
"""How often, 4 s apart, a stopping process still tries to write down what it knows."""


def retry_until_recorded(event: str, work: Callable[[], Any]) -> None:
    """Do `work` on the database until it is done. Raises one of `AWAY` only in a process that ends meanwhile."""
    tried = last_tries = 0
    while True:
        try:
            work()
            return
        except AWAY as error:
            forget_broken_connections()
            log.error(event, tried=tried + 1, reason=str(error))
            tried += 1
            last_tries += stopping.is_set()
            if last_tries > LAST_WAITS:
                raise
            time.sleep(4.0 if stopping.is_set() else min(0.25 * 2.0 ** min(tried, 5), 8.0))
