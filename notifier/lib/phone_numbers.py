"""Phone numbers in E.164, which is what is stored, hashed and sent to."""

from functools import lru_cache

import phonenumbers

NUMBER_LIMIT = 32
"""Characters of a number as it is given, with spaces and such."""
SPELLED_LIMIT = 16
"""Characters of a number in E.164: + and 15 digits."""


@lru_cache(maxsize=4096)
def spelled(number: str) -> str:
    """The number in E.164. Raises ValueError with a sentence."""
    try:
        read = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        raise ValueError("Write a phone number with + and its country's code, as +14155550123.") from None
    if read.extension:
        raise ValueError("A text can't be sent to an extension; leave it out.")
    number = phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.E164)
    possible = phonenumbers.is_possible_number_with_reason(read) == phonenumbers.ValidationResult.IS_POSSIBLE
    # Longer than E.164 has them are some numbers that a country's plan leaves open.
    if not possible or len(number) > SPELLED_LIMIT:
        raise ValueError("This phone number has too many or too few digits for its country.")
    return number


def comparable(number: str) -> str:
    """A key that all spellings of a number share; text that is no number: the text, trimmed."""
    try:
        return spelled(number)
    except ValueError:
        return number.strip()
