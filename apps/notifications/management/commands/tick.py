import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from apps.notifications import tick
from apps.notifications.exposition import exposition


class Command(BaseCommand):
    help = (
        "Run the heartbeat: publishes what is due and frees what dead workers held. Run one; a second waits."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        exposition.start()
        tick.run(stop)
