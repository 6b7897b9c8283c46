"""What a mail server's refusal means: in the session, in a bounce that comes by mail, or in a tracking event.

An address is called dead only where the code or the text says so and nothing in the text gives reason to doubt it:
RFC 5321 lets 550 mean any policy, and enhanced codes are copied from one reply into another.
"""

import re
import unicodedata
from functools import lru_cache

from apps.notifications.channels.email.refusal_phrases import ROWS, Meaning

GONE = frozenset({Meaning.UNKNOWN, Meaning.DISABLED, Meaning.REASSIGNED})
TEXT_LIMIT = 2000
"""Characters of a refusal that are examined."""

# Subject and detail of an enhanced code (RFC 3463 and its registry; 1.351 is Exchange's own).
_BY_CODE = {
    **dict.fromkeys(("1.1", "1.2", "1.3", "1.4", "1.6", "1.10", "1.351"), Meaning.UNKNOWN),
    "2.1": Meaning.DISABLED,
    **dict.fromkeys(("7.17", "7.18"), Meaning.REASSIGNED),
    "2.2": Meaning.FULL,
    # Exchange: a recipient gets too much in an hour, from all or from one sender.
    **dict.fromkeys(("2.121", "2.122"), Meaning.RATE),
    "3.4": Meaning.TOO_LARGE,
}
_VAGUE = frozenset({"", "0.0", "1.0", "2.0", "3.0", "5.0"})
"""Codes without a meaning of their own, so that the text decides. Exim writes 0.0 for every reply it relays."""
_NAMES_A_MAILBOX = frozenset({550, 551, 553})
_DECIDED_BY_TEXT = frozenset({511, 550, 551, 552, 553, 554})
"""Other codes (501, 503, 530) are about the session or the command, whatever their text says."""
_MICROSOFT_UNKNOWN = re.compile(r"recipient address rejected: access denied")
"""With 5.4.1 Exchange Online's usual reply for an unknown recipient."""

_CODE = re.compile(r"(?<![\w.])([245][0-9]{2})(?![\w.])(?:[ -]|$)")
_ENHANCED = re.compile(r"(?<![\w.])([245])\.([0-9]{1,3}\.[0-9]{1,3})(?![0-9]|\.[0-9])")
_CODES_AND_NAMES = re.compile(
    r"""
    \b(?:https?://|www\.)\S+        # links
    | <[^<>@]*>
    | (?<![\w.])[245][0-9]{2}[ -](?=\W{0,2}[245]\.|\w)
    | [#]?[245]\.[0-9]{1,3}\.[0-9]{1,3}\b
    | \[[0-9a-fA-F:.]+\]
    | \b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b
    # Host names. Two sentences without a space between them are not one: "unavailable.Please".
    | \b(?:[A-Za-z0-9_-]+\.)+(?:[a-z]{2,24}|[A-Z]{2,24})\b
    """,
    re.VERBOSE,
)
_ADDRESS = re.compile(r"<[^<>\s]*@[^<>]*>|[^\s<>:,;()]+@[^\s<>:,;()]+")
_PATTERNS = [(meaning, re.compile(pattern)) for meaning, pattern, _ in ROWS]


def meaning(code: int, enhanced: str, text: str) -> Meaning:
    """What a 4xx or 5xx reply to RCPT means. `enhanced`: subject and detail ("1.1"), or "". `text`: without codes or
    with them."""
    doubt, gone = match_phrases(text)
    if enhanced in _VAGUE and (quoted := _ENHANCED.search(text)) and quoted[1] == str(code)[0]:
        # Some servers write the code at the end, and gateways quote the server behind them.
        enhanced = quoted[2]
    if enhanced == "4.1" and (rest := _MICROSOFT_UNKNOWN.sub("", plain(text))) != plain(text):
        return match_phrases(rest)[0] or Meaning.UNKNOWN
    by_code = Meaning.SILENT if enhanced in _VAGUE else _BY_CODE.get(enhanced, _other(enhanced))
    if by_code is Meaning.SILENT:
        return doubt or (gone if code < 500 or code in _DECIDED_BY_TEXT else Meaning.OTHER)
    if by_code not in GONE:
        return by_code
    if doubt and not (doubt is Meaning.NO_DOMAIN and enhanced == "1.2"):
        return doubt
    # Servers use 552 and 554 for any reason, and their enhanced code may be a default.
    named = gone and (code < 500 or code in _DECIDED_BY_TEXT)
    return by_code if code in _NAMES_A_MAILBOX or named else Meaning.OTHER


def reported(status: str, text: str) -> Meaning:
    """What a refusal means that another server received and reports. `status`: the report's own ("5.1.1"), or "".

    The status takes precedence over the code quoted in the text; where the two disagree neither is believed. A
    temporary refusal (4xx) never means that the address is dead.
    """
    quoted, own, code = _ENHANCED.search(text), _ENHANCED.match(status), _CODE.search(text)
    enhanced_codes = {match[2] for match in (own, quoted) if match} - _VAGUE
    number = int(code[1]) if code and own is None else 550
    meanings = {meaning(number, enhanced, text) for enhanced in enhanced_codes or {""}}
    found = meanings.pop() if len(meanings) == 1 else _weaker(meanings)
    return Meaning.OTHER if found in GONE and _is_temporary(status, text) else found


def disabled_for_now(text: str) -> bool:
    """Whether it is a 4xx that calls the mailbox disabled: it may be enabled again."""
    return match_phrases(text) == (Meaning.SILENT, Meaning.DISABLED) and _is_temporary("", text)


@lru_cache(maxsize=256)
def match_phrases(text: str) -> tuple[Meaning, Meaning]:
    """The first reason to doubt that an address is dead, and the phrase that says it is; each may be SILENT."""
    cleaned = plain(text)
    doubt = gone = Meaning.SILENT
    for means, pattern in _PATTERNS:
        if means in GONE:
            if not gone and pattern.search(cleaned):
                gone = means
        elif not doubt and pattern.search(cleaned):
            doubt = means
    return doubt, gone


def says_gone(text: str) -> bool:
    """Whether the text alone calls the address dead."""
    doubt, gone = match_phrases(text)
    return bool(gone) and not doubt


def plain(text: str) -> str:
    """The text in lower case without codes, addresses and host names, which may contain any phrase."""
    text = unicodedata.normalize("NFKC", text[:TEXT_LIMIT]).replace("\u2019", "'")
    # An address leaves a placeholder: "<kim@example.com> does not exist" says of what.
    text = _CODES_AND_NAMES.sub(" ", _ADDRESS.sub(" @ ", text))
    return " ".join(re.sub(r"[-_/\\|\"]", " ", text).lower().split())


def _is_temporary(*texts: str) -> bool:
    found = (pattern.search(text) for text in texts for pattern in (_ENHANCED, _CODE))
    return any(match[1].startswith("4") for match in found if match)


def _other(enhanced: str) -> Meaning:
    return Meaning.POLICY if enhanced.startswith("7.") else Meaning.OTHER


def _weaker(meanings: set[Meaning]) -> Meaning:
    doubts = sorted(meanings - GONE)
    # Unknown and disabled at once still means that the address is dead.
    return doubts[0] if doubts else Meaning.UNKNOWN
