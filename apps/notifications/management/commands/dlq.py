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
        parser.add_argument("--json", action="store_true", help="JSON on standard output, a line a letter.")
        verbs = parser.add_subparsers(dest="verb", required=True)
        listing = verbs.add_parser("list", help="The newest first; open ones unless --state says otherwise.")
        listing.add_argument(
            "--state", choices=[*DeadLetter.State.values, "all"], default=DeadLetter.State.OPEN
        )
        listing.add_argument("--reason", default="")
        listing.add_argument("--channel", default="")
        listing.add_argument("--limit", type=int, default=50)
        showing = verbs.add_parser("show", help="Everything about one letter.")
        showing.add_argument("id")
        discarding = verbs.add_parser("discard", help="Close letters without a send.")
        discarding.add_argument("ids", nargs="+")

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "list":
                self._list(options)
            case "show":
                self._show(self._letter(options["id"]), options)
            case "discard":
                letters = [self._letter(pk) for pk in options["ids"]]
                done = sum(dead_letters.discard(letter, by="command:dlq") for letter in letters)
                self._say({"discarded": done, "closed_before": len(letters) - done}, options)

    def _list(self, options: dict[str, Any]) -> None:
        if options["limit"] <= 0:
            raise CommandError("--limit must be above zero.", returncode=2)
        wanted = {
            name: options[name] for name in ("state", "reason", "channel") if options[name] not in ("", "all")
        }
        letters = DeadLetter.objects.select_related("notification").filter(**wanted)
        found = list(letters[: options["limit"]])
        if found and not options["json"]:
            self.stdout.write(HEADER)
        for letter, recipient, words in with_recipients(found):
            if options["json"]:
                self._say({**_told(letter), "recipient": recipient, "detail": words}, options)
            else:
                self.stdout.write(line(letter, recipient, words))

    def _letter(self, pk: str) -> DeadLetter:
        try:
            return DeadLetter.objects.select_related("notification").get(pk=uuid.UUID(pk))
        except (ValueError, ValidationError, DeadLetter.DoesNotExist):
            raise CommandError(f"There is no dead letter {pk!r}.") from None

    def _show(self, letter: DeadLetter, options: dict[str, Any]) -> None:
        shown = {
            **_told(letter),
            "delivery_id": str(letter.delivery_id or ""),
            "epoch": letter.epoch,
            "detail": letter.detail,
            "closed_at": letter.closed_at.isoformat() if letter.closed_at else None,
            "closed_by": letter.closed_by,
            "queue": letter.queue,
            "body": bytes(letter.body).decode("utf-8", "backslashreplace"),
        }
        self._say(shown, options)

    def _say(self, shown: dict[str, Any], options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(shown))
        else:
            known = {name: value for name, value in shown.items() if value not in ("", None)}
            self.stdout.write("\n".join(f"{name}: {value}" for name, value in known.items()))


def _told(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": str(letter.pk),
        "created_at": letter.created_at.isoformat(timespec="seconds"),
        "state": letter.state,
        "channel": letter.channel,
        "reason": letter.reason,
        "code": letter.code,
        "request_id": letter.notification.request_id if letter.notification else None,
        "notification_id": str(letter.notification_id or ""),
    }
