"""Dead letters as lines of a table, for people: `--json` is for programs."""

from collections.abc import Iterator, Sequence
from textwrap import shorten

from apps.notifications.models import DELIVERIES, DeadLetter, Delivery

CHUNK = 500
WORDS = 70
"""Characters shown of what a provider said; `dlq show` has all of it."""
_LINE = "{:<36}  {:<19}  {:<9}  {:<5}  {:<28}  {:<24}  {:<20}  {}"
HEADER = _LINE.format(
    "ID", "FAILED (UTC)", "STATE", "BY", "RECIPIENT", "REASON", "REQUEST_ID", "THE PROVIDER'S WORDS"
)


def with_recipients(letters: Sequence[DeadLetter]) -> Iterator[tuple[DeadLetter, str, str]]:
    """Each letter with its recipient, masked (empty for a foreign message), and the provider's words with the
    recipient masked in them. A query a channel for 500 letters."""
    for start in range(0, len(letters), CHUNK):
        chunk = letters[start : start + CHUNK]
        rows: dict[object, Delivery] = {}
        for channel, model in DELIVERIES.items():
            ids = [letter.delivery_id for letter in chunk if letter.channel == channel and letter.delivery_id]
            rows.update(model.objects.in_bulk(ids))
        for letter in chunk:
            row = rows.get(letter.delivery_id)
            if row is None or not row.recipient:
                yield letter, "", letter.detail
            else:
                yield letter, row.masked_recipient, letter.detail.replace(row.recipient, row.masked_recipient)


def line(letter: DeadLetter, recipient: str, words: str) -> str:
    """The letter under HEADER; wants its notification loaded."""
    return _LINE.format(
        str(letter.pk),
        letter.created_at.strftime("%Y-%m-%d %H:%M:%S"),
        letter.state,
        letter.channel,
        recipient,
        ": ".join(dict.fromkeys(word for word in (letter.reason, letter.code) if word)),
        (letter.notification.request_id if letter.notification else None) or "",
        shorten(words, WORDS, placeholder="…"),
    ).rstrip()
