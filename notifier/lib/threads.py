"""Background loops of a process: each in a thread of its own, started once, watched, stopped together.

A loop survives any exception: it logs it, remembers it for the health page and the metrics, and goes on with its next
turn. A database that is away is the one exception that is expected; its broken connections are dropped.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import connection

from notifier.lib.database.recovery import DATABASE_ERRORS, forget_broken_connections

log = structlog.get_logger(__name__)

LOG_EVERY_SECONDS = 60.0
"""How often the log repeats an error that stays the same."""
FAILING_SECONDS = 60.0
"""So long after a turn that raised a loop counts as failing, unless a turn goes well before."""


@dataclass(frozen=True, slots=True)
class State:
    """`failures`: turns that raised, since the start; `error`: what the last turn raised, "" where it went well
    or where that is long ago."""

    name: str
    alive: bool
    failures: int
    error: str

    @property
    def failing(self) -> bool:
        return bool(self.error) or not self.alive


class Loop:
    """Calls `turn` again and again, in a thread of its own from `start` on, or wherever `run_turn` is called.

    `every`: seconds from one turn's end to the next, or what returns them; 0 for a turn that waits by itself.
    `pause`: so many after a turn that raised. `begins`, `ends`: called in the thread before the first and
    after the last turn. `wake`: ends the wait of a turn that waits by itself. Thread-safe; a forked child starts a
    thread of its own.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], Any],
        *,
        every: float | Callable[[], float] = 0.0,
        pause: float = 1.0,
        begins: Callable[[], Any] = lambda: None,
        ends: Callable[[], Any] = lambda: None,
        wake: Callable[[], Any] = lambda: None,
    ) -> None:
        self.name = name
        self._turn, self._every, self._pause = turn, every, pause
        self._begins, self._ends, self._wake = begins, ends, wake
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._stop = threading.Event()
        self._failures, self._error = 0, ""
        self._logged_at = self._failed_at = 0.0

    @property
    def alive(self) -> bool:
        if self._pid != os.getpid():
            return False
        # Without a thread somebody else takes the turns.
        return self._thread is None or self._thread.is_alive()

    def start(self) -> None:
        """Begin, unless it runs already."""
        if self._runs():
            return
        with self._lock:
            if not self._runs():
                former = self._thread if self.alive else None
                self._stop, self._pid = threading.Event(), os.getpid()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stop, former), name=self.name, daemon=True
                )
                self._thread.start()
                _loops[self.name] = self

    def stop(self, timeout: float = 2.0) -> None:
        """Let the turn in hand end, and wait for that, at most `timeout` seconds; `start` begins anew."""
        thread = self._thread
        if _loops.get(self.name) is self:
            del _loops[self.name]
        if thread is not None and self.alive:
            self._stop.set()
            self._wake()
            thread.join(timeout)

    def run_turn(self) -> Any:
        """One turn's result; None where it raised, whatever it was."""
        if self._thread is None:
            self._pid = os.getpid()
            _loops[self.name] = self
        return self._survived(self._turn)

    def state(self) -> State:
        # One that takes a turn when there is work, or whose turns another process takes, may not take one for long.
        error = self._error if time.monotonic() - self._failed_at < FAILING_SECONDS else ""
        return State(self.name, self.alive, self._failures, error)

    def _runs(self) -> bool:
        return self._thread is not None and self.alive and not self._stop.is_set()

    def _survived(self, work: Callable[[], Any]) -> Any:
        """What `work` returns; None where it raised."""
        try:
            result = work()
        except DATABASE_ERRORS as error:
            if self._failed(error):
                log.error("database_unavailable", loop=self.name, reason=str(error))
            self._reconnect()
            return None
        except OSError as error:
            # A full disk or a missing folder: the operator's to mend, and a traceback says nothing of it.
            if self._failed(error):
                log.error("loop_failed", loop=self.name, reason=str(error))
            return None
        except Exception as error:
            if self._failed(error):
                log.exception("loop_failed", loop=self.name)
            return None
        self._error = ""
        return result

    def _reconnect(self) -> None:
        try:
            forget_broken_connections()
        except Exception:
            log.exception("loop_failed", loop=self.name)

    def _failed(self, error: Exception) -> bool:
        """Whether the log is to say so: what fails every second is said once a minute."""
        before, self._error = self._error, f"{type(error).__name__}: {error}"
        self._failures += 1
        self._failed_at = now = time.monotonic()
        if self._error == before and now - self._logged_at < LOG_EVERY_SECONDS:
            return False
        self._logged_at = now
        return True

    def _run(self, stop: threading.Event, former: threading.Thread | None) -> None:
        if former is not None:
            # What it has in hand is its own until it has ended.
            former.join()
        begun = False
        while not stop.is_set():
            begun = begun or self._survived(self._started) is not None
            wait = self._survived(self._turn_and_wait) if begun else None
            stop.wait(self._pause if wait is None else wait)
        self._survived(self._ends)
        connection.close()

    def _started(self) -> bool:
        self._begins()
        return True

    def _turn_and_wait(self) -> float:
        """Take a turn; returns the seconds until the next one."""
        try:
            self._turn()
        finally:
            # Django keeps a connection until it is closed, and the next turn may be long in coming.
            connection.close()
        return self._every if isinstance(self._every, float | int) else self._every()


_loops: dict[str, Loop] = {}
"""By name: the loops that run in this process, or were inherited by a fork."""


def states() -> list[State]:
    """Of the loops that were started in this process and not stopped, by name."""
    return sorted(
        (loop.state() for loop in list(_loops.values()) if loop._pid == os.getpid()),
        key=lambda state: state.name,
    )
