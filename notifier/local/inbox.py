"""The messages that the stand-in providers caught, in memory, for the page at `/`."""

import itertools
import threading
from collections import deque
from typing import Any

from django.utils import timezone

MESSAGES_LIMIT = 200


class Inbox:
    """The newest messages, each with an increasing `number`, by which the page asks for newer ones."""

    def __init__(self) -> None:
        self._items: deque[dict[str, Any]] = deque(maxlen=MESSAGES_LIMIT)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, item: dict[str, Any]) -> None:
        with self._lock:
            self._items.append({"number": next(self._numbers), "at": timezone.now().isoformat(), **item})

    def after(self, number: int) -> list[dict[str, Any]]:
        with self._lock:
            return [item for item in self._items if item["number"] > number]


inbox = Inbox()
