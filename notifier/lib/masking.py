"""Masking of addresses and tokens for operators: enough to recognise them, too little to copy."""

import re
from typing import Any

ADDRESS = re.compile(
    r"(?:(\")(?:[^\"\\\r\n]|\\.){1,64}+\"|(?<![^\s<>\"'(),;:@])([^\s<>\"'(),;:@])[^\s<>\"'(),;:@]*+)"
    r"@([^\s<>\"'(),;:@]+)"
)
"""Matches only from the beginning of a word: tried at every letter of a long word, it would take quadratic time."""

NUMBER = re.compile(r"(?<!\w)\+[0-9](?:[ ().-]{0,2}[0-9]){6,14}(?![0-9])")
"""A phone number with its country's code, as it may be written in a sentence."""


def masked_address(address: str) -> str:
    """Enough of an email address to recognise it; empty for an empty one."""
    name, at, domain = address.rpartition("@")
    return f"{name[:1]}***{at}{domain}" if at else ""


def masked_token(token: str) -> str:
    """Enough of a device token to recognise it; empty for an empty one."""
    return f"{token[:4]}***" if token else ""


def masked_number(number: str) -> str:
    """The beginning of a phone number, which names its country, and its last two digits; empty for an empty one."""
    return f"{number[:3]}***{number[-2:]}" if number else ""


def masked_text(text: str) -> str:
    """`text`, such as a provider's message, with every address and phone number in it masked."""
    text = ADDRESS.sub(lambda found: f"{found[1] or found[2]}***@{found[3]}", text)
    return NUMBER.sub(lambda found: masked_number(found[0]), text) if "+" in text else text


def masked_value(value: Any) -> Any:
    """A JSON value with every text in it masked likewise; keys of objects stay."""
    match value:
        case str():
            return masked_text(value)
        case dict():
            return {name: masked_value(inner) for name, inner in value.items()}
        case list():
            return [masked_value(inner) for inner in value]
    return value
