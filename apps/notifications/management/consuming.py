"""The base of `consume_emails` and `consume_push`: a Celery worker on one channel's queue."""

from typing import Any, ClassVar

from celery import current_app
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from apps.notifications.queue.broker import BULK_SUFFIX


class ConsumeCommand(BaseCommand):
    """Runs a worker on the queue of `channel`, or on its bulk queue, until the process is stopped."""

    channel: ClassVar[str]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--bulk", action="store_true", help="Consume the bulk lane instead.")
        parser.add_argument("--threads", type=int, default=settings.WORKER_THREADS, help="Sender threads.")

    def handle(self, *args: Any, **options: Any) -> None:
        queue = f"{self.channel}{BULK_SUFFIX}" if options["bulk"] else self.channel
        current_app.worker_main(
            [
                "worker",
                "--pool=threads",
                f"--queues={queue}",
                f"--concurrency={options['threads']}",
                f"--hostname={queue}@%h",
                "--without-mingle",
                "--without-gossip",
            ]
        )
