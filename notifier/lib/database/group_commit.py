"""Group commit: what several threads submit at the same moment is done by one of them for all.

Nobody waits for company: who finds nobody at work begins at once, alone if it is alone. Who comes meanwhile is
served together, by the first of them, when that is done. So an idle process answers as quickly as it can, and a
busy one pays once for what it would have paid for each.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connection

log = structlog.get_logger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


class _Waiter(Generic[Item, Result]):
    """One thread's item. The thread sleeps until it is to lead the next group, or until another has served it."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.leads = False
        self.result: Result | None = None
        self.lost: Exception | None = None
        self._asleep = threading.Lock()
        self._asleep.acquire()

    def wait(self) -> None:
        self._asleep.acquire()

    def wake(self) -> None:
        self._asleep.release()


class GroupCommit(Generic[Item, Result]):
    """`work` takes items, at most `most` at once, and returns a result each, in order, never None.

    What `work` raises for several is no item's error in particular, so each of them is then tried by itself, in its
    own thread. But where the connection to the database is gone, the work may have been done all the same: nothing is
    tried again, and every thread gets the error.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Result]], *, most: int) -> None:
        self._work = work
        self._most = most
        self._lock = threading.Lock()
        self._waiting: dict[Hashable, list[_Waiter[Item, Result]]] = {}
        """Who waits, by key. A key is in here while somebody is at work for it."""

    def submit(self, key: Hashable, item: Item) -> Result:
        """This item's result, whose work is shared with others of the same key. Raises what `work` raises."""
        waiter = _Waiter[Item, Result](item)
        with self._lock:
            waiting = self._waiting.get(key)
            if waiting is None:
                self._waiting[key] = []
                waiter.leads = True
            else:
                waiting.append(waiter)
        if not waiter.leads:
            waiter.wait()
        if waiter.leads:
            self._lead(key, waiter)
        if waiter.lost is not None:
            raise type(waiter.lost)(*waiter.lost.args) from waiter.lost
        if waiter.result is None:
            (waiter.result,) = self._work([item])
        return waiter.result

    def _lead(self, key: Hashable, first: _Waiter[Item, Result]) -> None:
        with self._lock:
            waiting = self._waiting[key]
            others = waiting[: self._most - 1]
            del waiting[: self._most - 1]
        try:
            if others:
                self._serve([first, *others])
            else:
                (first.result,) = self._work([first.item])
        finally:
            with self._lock:
                next_leader = waiting.pop(0) if waiting else None
                if next_leader is None:
                    del self._waiting[key]
                else:
                    next_leader.leads = True
            for waiter in (*others, next_leader):
                if waiter is not None:
                    waiter.wake()

    def _serve(self, waiters: Sequence[_Waiter[Item, Result]]) -> None:
        try:
            results = self._work([waiter.item for waiter in waiters])
            for waiter, result in zip(waiters, results, strict=True):
                waiter.result = result
        except Exception as error:
            if isinstance(error, (OperationalError, InterfaceError)) and _gone():
                for waiter in waiters:
                    waiter.lost = error
            else:
                # Not hidden: the item that causes it meets it again, alone.
                log.warning("group_commit_split", items=len(waiters), exc_info=True)


def _gone() -> bool:
    """Whether there is no connection any more. A deadlock or a timeout leaves one, and has stored nothing."""
    return connection.connection is None or getattr(connection.connection, "closed", False)
