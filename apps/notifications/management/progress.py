"""Progress of a long command: a bar on a terminal, a line every ten seconds elsewhere."""

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import Progress as Bar

LINE_EVERY_SECONDS = 10.0


class Progress:
    """A context manager; call `advance` in it. `stream`: where people read, never the one that programs read."""

    def __init__(self, title: str, total: int, stream: Any) -> None:
        self._title = title
        self._total = total
        self._stream = stream
        self._done = 0
        self._reported_at = time.monotonic()
        self._bar = Bar(console=Console(stderr=True)) if stream.isatty() else None

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=self._total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int = 1) -> None:
        self._done += count
        if self._bar is not None:
            self._bar.advance(self._task, count)
        elif time.monotonic() - self._reported_at >= LINE_EVERY_SECONDS:
            self._reported_at = time.monotonic()
            self._stream.write(f"{self._title}: {self._done} of {self._total}")
