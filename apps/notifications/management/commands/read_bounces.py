"""Reads bounces from a maildir, once or continuously."""

import json
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import structlog
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from apps.notifications.feedback import maildir
from notifier.lib.database.recovery import forget_broken_connections

log = structlog.get_logger(__name__)

EVERY_SECONDS = 2.0


class Command(BaseCommand):
    help = "Read the bounces in a maildir: what can't be delivered, and which addresses are dead for good."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("maildir", type=Path, help="The folder that has new, cur and tmp.")
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument("--once", action="store_true", help="Read what is there and exit. The default.")
        mode.add_argument("--follow", action="store_true", help="Go on reading until the process is ended.")
        parser.add_argument(
            "--json", action="store_true", help="JSON objects on standard output, one for each reading."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["maildir"]
        try:
            maildir.check(folder)
        except maildir.NotAMaildir as error:
            raise CommandError(str(error), returncode=2) from error
        if not options["follow"]:
            try:
                self._print(maildir.read_new(folder), options["json"])
            except BrokenPipeError:
                raise
            except (OSError, DatabaseError) as error:
                raise CommandError(f"Not everything was read: {error}") from error
            return
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        while not stop.is_set():
            try:
                if read := maildir.read_new(folder):
                    self._print(read, options["json"])
            except BrokenPipeError:
                raise
            except (OSError, DatabaseError) as error:
                log.error("bounces_not_read", reason=str(error))
                forget_broken_connections()
            stop.wait(EVERY_SECONDS)

    def _print(self, read: Counter[str], as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"read": read.total(), **read}))
        else:
            parts = ", ".join(f"{count} {kind}" for kind, count in sorted(read.items()))
            self.stdout.write(f"{read.total()} read: {parts}." if parts else "Nothing is new.")
