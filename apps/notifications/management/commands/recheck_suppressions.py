"""Lists suppressions that the present classification of refusals would not make, and lifts them on request."""

import json
from textwrap import shorten
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.notifications.models import Suppression
from apps.notifications.operations.suppression_review import doubtful
from apps.users.models import Organization
from notifier.lib.masking import masked_text

DETAIL_WIDTH = 90
_LINE = "{:<36}  {:<16}  {:<28}  {:<16}  {}"
HEADER = _LINE.format("ID", "SINCE (UTC)", "RECIPIENT", "NOW READ AS", "THE SERVER'S REPLY")


class Command(BaseCommand):
    help = (
        "List the addresses that are suppressed for a refusal that doesn't say that they are dead (a block "
        "list, a quota, a bare 550); --lift lets them be sent to again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", default="", help="An organization's slug.")
        parser.add_argument("--lift", action="store_true", help="Lift those that are listed.")
        parser.add_argument(
            "--json", action="store_true", help="JSON on standard output, a line for each suppression."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["organization"]
        if slug and not Organization.objects.filter(slug=slug).exists():
            raise CommandError(f"There is no organization {slug!r}.", returncode=2)
        found = lifted = 0
        for row, meaning in doubtful(organization=slug):
            if options["lift"]:
                chosen = Suppression.objects.filter(pk=row.pk)
                lifted += chosen.lift(
                    by="command:recheck_suppressions", reason=f"Read again: {meaning or 'says nothing'}."
                )
            if not found and not options["json"]:
                self.stdout.write(HEADER)
            found += 1
            self._print(row, meaning or "says nothing", as_json=options["json"])
        if not options["json"]:
            did = f"{lifted} lifted." if options["lift"] else "None was lifted: --lift does it."
            self.stdout.write(f"{found} in doubt. {did}" if found else "None is in doubt.")

    def _print(self, row: Suppression, meaning: str, *, as_json: bool) -> None:
        detail = masked_text(row.detail)
        if as_json:
            entry = {
                "id": str(row.pk),
                "organization": row.organization.slug,
                "recipient": row.masked_recipient,
                "reason": row.reason,
                "read_as": meaning,
                "detail": detail,
                "created_at": row.created_at.isoformat(),
            }
            self.stdout.write(json.dumps(entry))
            return
        since = row.created_at.strftime("%Y-%m-%d %H:%M")
        shown = _LINE.format(
            str(row.pk), since, row.masked_recipient, meaning, shorten(detail, DETAIL_WIDTH, placeholder="…")
        )
        self.stdout.write(shown.rstrip())
