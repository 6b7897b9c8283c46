import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.users.reencryption import pending
from notifier.lib.database.encryption import Undecryptable, encrypted_columns


class Command(BaseCommand):
    help = (
        "Encrypt everything that an older key encrypted with the first of ENCRYPTION_KEYS. It may be stopped and "
        "run again; once it has found nothing, the older keys can go."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="One JSON object on standard output.")

    def handle(self, *args: Any, **options: Any) -> None:
        done: dict[str, int] = {}
        for field in encrypted_columns():
            name = f"{field.model._meta.db_table}.{field.column}"
            done[name] = 0
            try:
                for count in pending(field):
                    done[name] += count
                    if count and not options["json"]:
                        self.stderr.write(f"{name}: {done[name]}")
            except Undecryptable as error:
                raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps({"reencrypted": done}))
            return
        for name, count in done.items():
            self.stdout.write(f"{name}: {count} encrypted anew.")
