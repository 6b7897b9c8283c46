"""The scheduler's process."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from apps.notifications.observability.exposition import exposition
from apps.notifications.scheduler import loop


class Command(BaseCommand):
    help = (
        "Run the scheduler: publishes due rows and frees those of dead workers. Run one; a second one waits."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        exposition.start()
        loop.run(stop)
