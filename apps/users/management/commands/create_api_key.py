"""`manage.py create_api_key`: an organization's new API key on standard output."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.users.audit_log import acting
from apps.users.models import ApiKey, Organization
from apps.users.models.scopes import Scope


class Command(BaseCommand):
    help = "Make an API key and print it, once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="What the key is for.")
        parser.add_argument("--organization", default="default", help="An organization's slug.")
        parser.add_argument(
            "--scope",
            action="append",
            choices=Scope.values,
            dest="scopes",
            help="Repeat for several. Default: send, read.",
        )
        parser.add_argument("--all-scopes", action="store_true")
        parser.add_argument(
            "--no-expiry",
            action="store_true",
            help="It works until it is revoked. Default: for KEY_LIFETIME_DAYS.",
        )
        parser.add_argument(
            "--test", action="store_true", help="A test key: nothing it sends leaves the machine."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        organization = Organization.objects.filter(slug=options["organization"]).first()
        if organization is None:
            raise CommandError(f"There is no organization {options['organization']!r}.")
        fields: dict[str, Any] = {"live": not options["test"]}
        if options["no_expiry"]:
            fields["expires_at"] = None
        if options["all_scopes"]:
            fields["scopes"] = list(Scope.values)
        elif options["scopes"]:
            fields["scopes"] = options["scopes"]
        with acting("command:create_api_key"):
            _, plain = ApiKey.objects.issue(organization=organization, name=options["name"], **fields)
        self.stdout.write(plain)
