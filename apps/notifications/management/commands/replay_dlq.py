"""Sends failed deliveries again, selected by the properties of their dead letters."""

import getpass
import json
import time
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.management.dead_letter_table import HEADER, line, with_recipients
from apps.notifications.management.progress import Progress
from apps.notifications.models import DeadLetter
from apps.notifications.models.statuses import Status
from apps.notifications.queue.broker import publisher
from apps.notifications.transitions import dead_letters
from notifier.channels.registry import CODES


def moment(text: str) -> datetime:
    """An ISO date or time; without a zone it is UTC. Raises ValueError."""
    value = parse_datetime(text)
    if value is None and (day := parse_date(text)):
        value = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - made aware below
    if value is None:
        raise ValueError(text)
    return value if timezone.is_aware(value) else timezone.make_aware(value)


class Command(BaseCommand):
    help = "Send failed deliveries again, each once. Try --dry-run first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--channel", choices=CODES, default="")
        parser.add_argument(
            "--reason", default="", help="The dead letter's reason or code; `unknown` includes those."
        )
        parser.add_argument("--template", default="", help="A template's code.")
        parser.add_argument("--organization", default="", help="An organization's slug.")
        parser.add_argument("--request-id", default="")
        parser.add_argument("--since", type=moment, help="ISO time of the failure, from (UTC).")
        parser.add_argument("--until", type=moment, help="ISO time of the failure, before (UTC).")
        parser.add_argument("--limit", type=int, help="The largest number to replay.")
        parser.add_argument("--rate", type=float, help="The largest number per second.")
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be done.")
        parser.add_argument("--json", action="store_true", help="One JSON object on standard output.")

    def handle(self, *args: Any, **options: Any) -> None:
        for name in ("limit", "rate"):
            if options[name] is not None and options[name] <= 0:
                raise CommandError(f"--{name} must be above zero.", returncode=2)
        selection = dead_letters.Selection(
            **{
                name: options[name]
                for name in ("channel", "reason", "template", "organization", "request_id", "since", "until")
            }
        )
        selected = list(selection.dead_letters().select_related("notification")[: options["limit"]])
        by = f"command:replay_dlq:{getpass.getuser()}"
        done = skipped = 0
        with Progress("Replaying", len(selected), self.stderr) as progress:
            for dead_letter, recipient, detail in with_recipients(selected):
                if options["dry_run"] or dead_letters.replay(dead_letter, by=by):
                    if not options["json"]:
                        shown = line(dead_letter, recipient, detail)
                        self.stdout.write(shown if done else f"{HEADER}\n{shown}")
                    done += 1
                else:
                    skipped += 1
                progress.advance()
                if options["rate"] and not options["dry_run"]:
                    time.sleep(1 / options["rate"])
        if settings.LOCAL and done and not options["dry_run"]:
            _unpublish(selected)
        if options["json"]:
            self.stdout.write(
                json.dumps({"dry_run": options["dry_run"], "replayed": done, "skipped": skipped})
            )
        else:
            verb = "would be replayed" if options["dry_run"] else "replayed"
            self.stdout.write(f"{done} {verb}, {skipped} skipped.")


def _unpublish(selected: list[DeadLetter]) -> None:
    """Leave these rows to the scheduler: with the in-memory broker no other process reads what this one publishes."""
    publisher.stop()
    for channel, model in DELIVERIES.items():
        ids = [dead_letter.delivery_id for dead_letter in selected if dead_letter.channel == channel]
        model.objects.filter(pk__in=ids, status=Status.QUEUED).update(published_at=None)
