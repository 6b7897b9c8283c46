"""Reads stored tracking events again that an earlier release could not read."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.notifications.feedback.unread_events import read_again
from apps.notifications.models import UnreadEvent


class Command(BaseCommand):
    help = "Read the events of email services again that an earlier release could not read, and apply them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--provider", default="", help="Only those of this account.")
        parser.add_argument(
            "--json", action="store_true", help="JSON on standard output, a line for each event."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        rows = UnreadEvent.objects.all()
        if options["provider"]:
            rows = rows.filter(source=options["provider"])
        read = left = 0
        for row, error in read_again(rows, by="command:reread_events"):
            read, left = read + (not error), left + bool(error)
            if options["json"]:
                entry = {"id": str(row.pk), "provider": row.source, "read": not error, "fault": error}
                self.stdout.write(json.dumps(entry))
            elif error:
                self.stdout.write(f"{row.pk}  {row.source}  {error}")
        if not options["json"]:
            self.stdout.write(f"{read} read, {left} left." if read or left else "Every event could be read.")
