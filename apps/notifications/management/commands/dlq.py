"""Lists, shows and discards dead letters."""

import json
import uuid
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.notifications.management.dead_letter_table import HEADER, line, with_recipients
from apps.notifications.models import DeadLetter
from apps.notifications.transitions import dead_letters


class Command(BaseCommand):
    help = "Look at dead letters: `dlq list`, `dlq show ID`, `dlq discard ID …`. Replaying is `replay_dlq`."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--json", action="store_true", help="JSON on standard output, a line for each dead letter."
        )
        verbs = parser.add_subparsers(dest="verb", required=True)
        listing = verbs.add_parser("list", help="The newest first; open ones unless --state says otherwise.")
        listing.add_argument(
            "--state", choices=[*DeadLetter.State.values, "all"], default=DeadLetter.State.OPEN
        )
        listing.add_argument("--reason", default="")
        listing.add_argument("--channel", default="")
        listing.add_argument("--limit", type=int, default=50)
        showing = verbs.add_parser("show", help="Everything about one dead letter.")
        showing.add_argument("id")
        discarding = verbs.add_parser("discard", help="Close dead letters without a send.")
        discarding.add_argument("ids", nargs="+")

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "list":
                self._list(options)
            case "show":
                self._show(self._dead_letter(options["id"]), options)
            case "discard":
                selected = [self._dead_letter(pk) for pk in options["ids"]]
                done = sum(dead_letters.discard(dead_letter, by="command:dlq") for dead_letter in selected)
                self._print({"discarded": done, "closed_before": len(selected) - done}, options)

    def _list(self, options: dict[str, Any]) -> None:
        if options["limit"] <= 0:
            raise CommandError("--limit must be above zero.", returncode=2)
        filters = {
            name: options[name] for name in ("state", "reason", "channel") if options[name] not in ("", "all")
        }
        selected = DeadLetter.objects.select_related("notification").filter(**filters)
        found = list(selected[: options["limit"]])
        if found and not options["json"]:
            self.stdout.write(HEADER)
        for dead_letter, recipient, detail in with_recipients(found):
            if options["json"]:
                self._print({**_summary(dead_letter), "recipient": recipient, "detail": detail}, options)
            else:
                self.stdout.write(line(dead_letter, recipient, detail))

    def _dead_letter(self, pk: str) -> DeadLetter:
        try:
            return DeadLetter.objects.select_related("notification").get(pk=uuid.UUID(pk))
        except (ValueError, ValidationError, DeadLetter.DoesNotExist):
            raise CommandError(f"There is no dead letter {pk!r}.") from None

    def _show(self, dead_letter: DeadLetter, options: dict[str, Any]) -> None:
        shown = {
            **_summary(dead_letter),
            "delivery_id": str(dead_letter.delivery_id or ""),
            "epoch": dead_letter.epoch,
            "detail": dead_letter.detail,
            "closed_at": dead_letter.closed_at.isoformat() if dead_letter.closed_at else None,
            "closed_by": dead_letter.closed_by,
            "queue": dead_letter.queue,
            "body": bytes(dead_letter.body).decode("utf-8", "backslashreplace"),
        }
        self._print(shown, options)

    def _print(self, shown: dict[str, Any], options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(shown))
        else:
            known = {name: value for name, value in shown.items() if value not in ("", None)}
            self.stdout.write("\n".join(f"{name}: {value}" for name, value in known.items()))


def _summary(dead_letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": str(dead_letter.pk),
        "created_at": dead_letter.created_at.isoformat(timespec="seconds"),
        "state": dead_letter.state,
        "channel": dead_letter.channel,
        "reason": dead_letter.reason,
        "code": dead_letter.code,
        "request_id": dead_letter.notification.request_id if dead_letter.notification else None,
        "notification_id": str(dead_letter.notification_id or ""),
    }
