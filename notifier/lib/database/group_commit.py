"""Work that several threads ask for at the same moment, done by one of them for all.

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
Asked = TypeVar("Asked")
Told = TypeVar("Told")


class _Turn(Generic[Asked, Told]):
    """One thread's question. The thread sleeps until it is to take the lead, or until somebody else has done so."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.leads = False
        self.told: Told | None = None
        self.lost: Exception | None = None
        self._asleep = threading.Lock()
        self._asleep.acquire()

    def wait(self) -> None:
        self._asleep.acquire()

    def wake(self) -> None:
        self._asleep.release()


class Coalescer(Generic[Asked, Told]):
    """`work` answers questions, at most `most` at once: an answer each, in order, never None.

    What `work` raises for several is nobody's fault in particular, so each of them is then asked by itself, in its
    own thread. But where the connection to the database is gone, the work may have been done all the same: nothing is
    asked again, and everybody is told.
    """

    def __init__(self, work: Callable[[Sequence[Asked]], Sequence[Told]], *, most: int) -> None:
        self._work = work
        self._most = most
        self._lock = threading.Lock()
        self._lines: dict[Hashable, list[_Turn[Asked, Told]]] = {}
        """Who waits, by line. A line is in here while somebody is at work for it."""

    def ask(self, line: Hashable, asked: Asked) -> Told:
        """The answer to this question, whose work is shared with others of its line. Raises what `work` raises."""
        turn = _Turn[Asked, Told](asked)
        with self._lock:
            waiting = self._lines.get(line)
            if waiting is None:
                self._lines[line] = []
                turn.leads = True
            else:
                waiting.append(turn)
        if not turn.leads:
            turn.wait()
        if turn.leads:
            self._lead(line, turn)
        if turn.lost is not None:
            raise type(turn.lost)(*turn.lost.args) from turn.lost
        if turn.told is None:
            (turn.told,) = self._work([asked])
        return turn.told

    def _lead(self, line: Hashable, first: _Turn[Asked, Told]) -> None:
        with self._lock:
            waiting = self._lines[line]
            others = waiting[: self._most - 1]
            del waiting[: self._most - 1]
        try:
            if others:
                self._serve([first, *others])
            else:
                (first.told,) = self._work([first.asked])
        finally:
            with self._lock:
                following = waiting.pop(0) if waiting else None
                if following is None:
                    del self._lines[line]
                else:
                    following.leads = True
            for turn in (*others, following):
                if turn is not None:
                    turn.wake()

    def _serve(self, turns: Sequence[_Turn[Asked, Told]]) -> None:
        try:
            for turn, told in zip(turns, self._work([turn.asked for turn in turns]), strict=True):
                turn.told = told
        except Exception as fault:
            if isinstance(fault, (OperationalError, InterfaceError)) and _gone():
                for turn in turns:
                    turn.lost = fault
            else:
                # Not hidden: whose question it is meets it again, alone.
                log.warning("asked_apart", questions=len(turns), exc_info=True)


def _gone() -> bool:
    """Whether there is no connection any more. A deadlock or a timeout leaves one, and has stored nothing."""
    return connection.connection is None or getattr(connection.connection, "closed", False)
