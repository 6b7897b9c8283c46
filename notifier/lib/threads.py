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


@dataclass(frozen=True, slots=True)
class State:
    """`failures`: turns that raised, since the start; `error`: what the last turn raised, "" where it went well;
    `succeeded_at`: Unix time of the last turn that went well, 0 for none."""

    name: str
    alive: bool
    failures: int
    error: str
    succeeded_at: float

    @property
    def failing(self) -> bool:
        return bool(self.error) or not self.alive


class Loop:
    """Calls `turn` again and again, in a thread of its own from `start` on, or wherever `run_turn` is called.

    `every`: seconds from one turn's end to the next, or what returns them; 0 for a turn that waits by itself.
    `pause`: at least so many after a turn that raised. `begins`, `ends`: called in the thread before the first and
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
        self._failures, self._error, self._succeeded_at = 0, "", 0.0

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
                self._stop, self._pid = threading.Event(), os.getpid()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stop,), name=self.name, daemon=True
                )
                self._thread.start()
                _loops[self.name] = self

    def stop(self, timeout: float = 2.0) -> None:
        """Let the turn in hand end, and wait for that, at most `timeout` seconds; `start` begins anew."""
        thread = self._thread
        if thread is not None and self.alive:
            _loops.pop(self.name, None)
            self._stop.set()
            self._wake()
            thread.join(timeout)

    def run_turn(self) -> Any:
        """One turn's result; None where it raised, whatever it was."""
        if self._thread is None:
            self._pid = os.getpid()
            _loops[self.name] = self
        try:
            result = self._turn()
        except DATABASE_ERRORS as error:
            if self._failed(error):
                log.warning("database_unavailable", loop=self.name, reason=str(error))
            forget_broken_connections()
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
        self._error, self._succeeded_at = "", time.time()
        return result

    def state(self) -> State:
        return State(self.name, self.alive, self._failures, self._error, self._succeeded_at)

    def _runs(self) -> bool:
        return self._thread is not None and self.alive and not self._stop.is_set()

    def _failed(self, error: Exception) -> bool:
        """Whether the log has not said so already: what fails every second is said once."""
        before, self._error = self._error, f"{type(error).__name__}: {error}"
        self._failures += 1
        return self._error != before

    def _run(self, stop: threading.Event) -> None:
        self._begins()
        while not stop.is_set():
            self.run_turn()
            # Django keeps a connection until it is closed, and the next turn may be long in coming.
            connection.close()
            every = self._every if isinstance(self._every, float | int) else self._every()
            stop.wait(max(every, self._pause) if self._error else every)
        try:
            self._ends()
        except Exception:
            log.exception("loop_failed", loop=self.name)
        finally:
            connection.close()


_loops: dict[str, Loop] = {}
"""By name: the loops that run in this process, or were inherited by a fork."""


def states() -> list[State]:
    """Of the loops that were started in this process and not stopped, by name."""
    return sorted(
        (loop.state() for loop in list(_loops.values()) if loop._pid == os.getpid()),
        key=lambda state: state.name,
    )
