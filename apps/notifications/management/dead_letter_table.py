"""Dead letters as lines of a table, for people; programs use `--json`."""

from collections.abc import Iterator, Sequence
from textwrap import shorten

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.models import DeadLetter, Delivery

BATCH_SIZE = 500
DETAIL_WIDTH = 70
"""Characters of the provider's reply that are shown; `dlq show` has all of it."""
_LINE = "{:<36}  {:<19}  {:<9}  {:<5}  {:<28}  {:<24}  {:<20}  {}"
HEADER = _LINE.format(
    "ID", "FAILED (UTC)", "STATE", "BY", "RECIPIENT", "REASON", "REQUEST_ID", "THE PROVIDER'S REPLY"
)


def with_recipients(dead_letters: Sequence[DeadLetter]) -> Iterator[tuple[DeadLetter, str, str]]:
    """Each dead letter with its masked recipient (empty for a foreign message) and the provider's reply, in which the
    recipient is masked. Costs a query for each channel and 500 dead letters."""
    for start in range(0, len(dead_letters), BATCH_SIZE):
        batch = dead_letters[start : start + BATCH_SIZE]
        rows: dict[object, Delivery] = {}
        for channel, model in DELIVERIES.items():
            ids = [
                dead_letter.delivery_id
                for dead_letter in batch
                if dead_letter.channel == channel and dead_letter.delivery_id
            ]
            rows.update(model.objects.in_bulk(ids))
        for dead_letter in batch:
            row = rows.get(dead_letter.delivery_id)
            if row is None or not row.recipient:
                yield dead_letter, "", dead_letter.detail
            else:
                yield (
                    dead_letter,
                    row.masked_recipient,
                    dead_letter.detail.replace(row.recipient, row.masked_recipient),
                )


def line(dead_letter: DeadLetter, recipient: str, detail: str) -> str:
    """The dead letter's line under HEADER. Its notification must be loaded."""
    return _LINE.format(
        str(dead_letter.pk),
        dead_letter.created_at.strftime("%Y-%m-%d %H:%M:%S"),
        dead_letter.state,
        dead_letter.channel,
        recipient,
        ": ".join(dict.fromkeys(part for part in (dead_letter.reason, dead_letter.code) if part)),
        (dead_letter.notification.request_id if dead_letter.notification else None) or "",
        shorten(detail, DETAIL_WIDTH, placeholder="…"),
    ).rstrip()
