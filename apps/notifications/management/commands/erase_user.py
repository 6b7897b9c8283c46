"""Erases one person. Exit code 1: not known; 2: several organizations know the address."""

import getpass
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.notifications.management.progress import Progress
from apps.notifications.operations.erasure import known_by
from apps.users.models import Organization


class Command(BaseCommand):
    help = (
        "Erase a person: blank their address, name, devices, variables and the recipients of their messages, and "
        "cancel what waits. Hashes, statuses and codes stay. It can't be undone, and may be repeated."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("who", help="A user's id, or an email address.")
        parser.add_argument("--organization", help="An organization's slug, where several know the address.")
        parser.add_argument("--json", action="store_true", help="One JSON object on standard output.")

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["organization"]
        organization = Organization.objects.filter(slug=slug).first() if slug else None
        if slug and organization is None:
            raise CommandError(f"There is no organization {slug!r}.", returncode=2)
        found = known_by(options["who"].strip(), organization)
        if not found:
            raise CommandError("Nobody is known by this id or address.")
        if len(found) > 1:
            people = [str(one.user.pk) for one in found if one.user is not None]
            if len(people) > len({one.organization for one in found if one.user is not None}):
                raise CommandError(
                    f"Several people have this address: name one by the id: {', '.join(people)}.",
                    returncode=2,
                )
            slugs = ", ".join(one.organization.slug for one in found)
            raise CommandError(f"Several know this address: {slugs}. Name one: --organization.", returncode=2)
        (erasure,) = found
        with Progress("Erasing notifications", len(erasure.notifications()), self.stderr) as progress:
            for count in erasure.run(by=f"command:erase_user:{getpass.getuser()}"):
                progress.advance(count)
        counts = {
            name: erasure.done[name]
            for name in ("notifications", "deliveries", "cancelled", "devices", "suppressions")
        }
        if options["json"]:
            user_id = str(erasure.user.pk) if erasure.user is not None else None
            self.stdout.write(json.dumps({"user_id": user_id, "erased": counts, "sending": erasure.sending}))
            return
        for name, count in counts.items():
            self.stdout.write(f"{count} {name}.")
        if erasure.sending:
            self.stdout.write(f"{erasure.sending} were being sent: run it again in ten minutes.")
