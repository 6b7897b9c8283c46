"""Deletes old rows in small batches."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.notifications.management.progress import Progress
from apps.notifications.operations.purge import candidates, purge


class Command(BaseCommand):
    help = (
        "Delete notifications and callbacks that ended long ago, and idempotency keys and ended sessions past "
        "their time, in small batches."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=90, help="Keep what is younger. Default: 90.")
        parser.add_argument("--dry-run", action="store_true", help="Only count.")
        parser.add_argument("--json", action="store_true", help="One JSON object on standard output.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] < 1:
            raise CommandError("--days must be at least 1.", returncode=2)
        done: dict[str, int] = {}
        for kind, rows in candidates(options["days"]):
            total = rows.count()
            done[kind] = total if options["dry_run"] else 0
            if options["dry_run"]:
                continue
            with Progress(f"Deleting {kind}", total, self.stderr) as progress:
                for count in purge(rows):
                    done[kind] += count
                    progress.advance(count)
        if options["json"]:
            self.stdout.write(json.dumps({"dry_run": options["dry_run"], "deleted": done}))
            return
        verb = "would be deleted" if options["dry_run"] else "deleted"
        for kind, count in done.items():
            self.stdout.write(f"{count} {kind} {verb}.")
