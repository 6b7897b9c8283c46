"""`manage.py reencrypt`: encrypt every encrypted column with the first of ENCRYPTION_KEYS."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.users.reencryption import reencrypted_batches
from notifier.lib.database.encryption import Undecryptable, encrypted_columns


class Command(BaseCommand):
    help = (
        "Re-encrypt with the first of ENCRYPTION_KEYS every value that an older key encrypted. It may be stopped and "
        "run again; once it finds nothing, the older keys can be removed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="One JSON object on standard output.")

    def handle(self, *args: Any, **options: Any) -> None:
        done: dict[str, int] = {}
        for field in encrypted_columns():
            name = f"{field.model._meta.db_table}.{field.column}"
            done[name] = 0
            try:
                for count in reencrypted_batches(field):
                    done[name] += count
                    if count and not options["json"]:
                        self.stderr.write(f"{name}: {done[name]}")
            except Undecryptable as error:
                raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps({"reencrypted": done}))
            return
        for name, count in done.items():
            self.stdout.write(f"{name}: {count} re-encrypted.")
