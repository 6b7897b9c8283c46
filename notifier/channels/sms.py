"""SMS, declared, with the segments that a text is sent and paid in."""

from notifier.channels.declaration import Address, Channel, Figure, Kind, Part, Rendered, RetryPolicy
from notifier.lib import phone_numbers
from notifier.lib.masking import masked_number

SEGMENTS_LIMIT = 10
"""What gateways and networks put together again without losses; a gateway refuses more, or bills for them."""
BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""GSM 7-bit's own characters (3GPP TS 23.038); without the escape, which is none."""
EXTENDED = frozenset("\f^{}\\[~]|€")
"""Those that take two places in it."""
GSM_7, UCS_2 = "GSM-7", "UCS-2"
PLACES = {GSM_7: (160, 153), UCS_2: (70, 67)}
"""How many places a text has that fits into one segment, and a segment of several, which a header joins."""


def encoding(text: str) -> str:
    """GSM-7, or UCS-2 where one character of the text is not in it."""
    return GSM_7 if all(char in BASIC or char in EXTENDED for char in text) else UCS_2


def segments(text: str) -> int:
    """How many segments the text is sent in; 0 for an empty one. A character is never split between two."""
    code = encoding(text)
    sizes = [_places(char, code) for char in text]
    alone, joined = PLACES[code]
    if sum(sizes) <= alone:
        return 1 if text else 0
    count, left = 1, joined
    for size in sizes:
        if size > left:
            count, left = count + 1, joined
        left -= size
    return count


def _places(char: str, code: str) -> int:
    if code == GSM_7:
        return 2 if char in EXTENDED else 1
    # In UCS-2 a character beyond the basic plane is a pair.
    return 2 if ord(char) > 0xFFFF else 1


def _too_much(rendered: Rendered) -> tuple[str, str] | None:
    text = rendered["text"]
    if (count := segments(text)) > SEGMENTS_LIMIT:
        return (
            "text",
            f"a text has {SEGMENTS_LIMIT} segments at most, and this has {count} ({encoding(text)})",
        )
    return None


SMS = Channel(
    code="sms",
    label="SMS",
    names={"en": "Text message", "fr": "SMS", "de": "SMS", "es": "SMS"},
    address=Address(
        request_field="phone",
        noun="phone number",
        limit=phone_numbers.NUMBER_LIMIT,
        example="+14155550123",
        person_column="phone",
        readable=True,
        spelled=phone_numbers.spelled,
        comparable=phone_numbers.comparable,
        folded=lambda number: {phone_numbers.comparable(number)},
        masked=masked_number,
    ),
    parts=(
        Part(
            name="text",
            kind=Kind.TEXT,
            label="Text",
            rows=4,
            help_text="Up to 160 characters go in one segment; up to 70 where one of them is not in GSM-7, as ê.",
        ),
    ),
    required=("text",),
    example={"text": "Order {{ order.number }} is on its way."},
    figures=(
        Figure(
            name="segments",
            kind=int,
            help_text="How many segments it is sent and paid in.",
            of=lambda rendered: segments(rendered["text"]),
        ),
        Figure(
            name="encoding",
            kind=str,
            help_text="GSM-7, or UCS-2 where one character is not in that.",
            of=lambda rendered: encoding(rendered["text"]),
        ),
    ),
    too_much=_too_much,
    # A text is about the present, as a push is; a network that is busy recovers within the hour.
    retries=RetryPolicy(steps=(30, 120, 600, 1800, 3600), repeat_last=False, deadline=4 * 3600),
)
