"""What a mail server means by a refusal: in the session, in a bounce that comes as mail, in an email service's event.

An address is called dead only where a code or words say so and nothing in the words gives reason to doubt it: RFC
5321 lets 550 mean any policy, and enhanced codes are copied from one reply into another.
"""

import re
import unicodedata
from functools import lru_cache

from apps.notifications.channels.email.refusal_phrases import ROWS, Meaning

GONE = frozenset({Meaning.UNKNOWN, Meaning.DISABLED, Meaning.REASSIGNED})
WORDS_LIMIT = 2000
"""Characters of a refusal that are looked at."""

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
"""Codes that say nothing of their own, so that the words decide. Exim writes 0.0 whatever it was told."""
_NAMES_A_MAILBOX = frozenset({550, 551, 553})
_BY_WORDS = frozenset({511, 550, 551, 552, 553, 554})
"""Others (501, 503, 530) are about the session or the command, whatever words come with them."""
_MICROSOFT_UNKNOWN = re.compile(r"recipient address rejected: access denied")
"""With 5.4.1 Exchange Online's usual answer for somebody it doesn't know."""

_CODE = re.compile(r"(?<![\w.])([245][0-9]{2})(?![\w.])(?:[ -]|$)")
_ENHANCED = re.compile(r"(?<![\w.])([245])\.([0-9]{1,3}\.[0-9]{1,3})(?![0-9]|\.[0-9])")
_NOT_WORDS = re.compile(
    r"""
    \b(?:https?://|www\.)\S+        # links
    | <[^<>@]*>
    | (?<![\w.])[245][0-9]{2}[ -](?=\W{0,2}[245]\.|\w)
    | [#]?[245]\.[0-9]{1,3}\.[0-9]{1,3}\b
    | \[[0-9a-fA-F:.]+\]
    | \b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b
    # Host names. Two sentences without a space between them are none: "unavailable.Please".
    | \b(?:[A-Za-z0-9_-]+\.)+(?:[a-z]{2,24}|[A-Z]{2,24})\b
    """,
    re.VERBOSE,
)
_ADDRESS = re.compile(r"<[^<>\s]*@[^<>]*>|[^\s<>:,;()]+@[^\s<>:,;()]+")
_PATTERNS = [(meaning, re.compile(pattern)) for meaning, pattern, _ in ROWS]


def meaning(code: int, enhanced: str, words: str) -> Meaning:
    """What a 4xx or 5xx reply to RCPT means. `enhanced`: subject and detail ("1.1"), or ""."""
    doubt, gone = read_words(words)
    if enhanced in _VAGUE and (quoted := _ENHANCED.search(words)) and quoted[1] == str(code)[0]:
        # Some write it at the end, and gateways quote the server behind them.
        enhanced = quoted[2]
    if enhanced == "4.1" and (rest := _MICROSOFT_UNKNOWN.sub("", plain(words))) != plain(words):
        return read_words(rest)[0] or Meaning.UNKNOWN
    by_code = Meaning.SILENT if enhanced in _VAGUE else _BY_CODE.get(enhanced, _other(enhanced))
    if by_code is Meaning.SILENT:
        return doubt or (gone if code < 500 or code in _BY_WORDS else Meaning.OTHER)
    if by_code not in GONE:
        return by_code
    if doubt and not (doubt is Meaning.NO_DOMAIN and enhanced == "1.2"):
        return doubt
    # With 552 and 554 servers refuse for any reason, and the enhanced code may be a default of theirs.
    named = gone and (code < 500 or code in _BY_WORDS)
    return by_code if code in _NAMES_A_MAILBOX or named else Meaning.OTHER


def reported(status: str, words: str) -> Meaning:
    """The same for a refusal that somebody else was told and passes on: `status` is their own ("5.1.1"), or "".

    The status counts before what is quoted, where it says anything; where the two disagree neither is believed. A
    server that was still asked to try again has not said that the address is dead.
    """
    quoted, own, code = _ENHANCED.search(words), _ENHANCED.match(status), _CODE.search(words)
    said = {match[2] for match in (own, quoted) if match} - _VAGUE
    number = int(code[1]) if code and own is None else 550
    meanings = {meaning(number, enhanced, words) for enhanced in said or {""}}
    found = meanings.pop() if len(meanings) == 1 else _weaker(meanings)
    return Meaning.OTHER if found in GONE and _asks_to_try_again(status, words) else found


def disabled_for_now(words: str) -> bool:
    """A 4xx that calls the mailbox disabled: it may come back."""
    return read_words(words) == (Meaning.SILENT, Meaning.DISABLED) and _asks_to_try_again("", words)


@lru_cache(maxsize=256)
def read_words(words: str) -> tuple[Meaning, Meaning]:
    """The first reason to doubt that an address is dead, and what says that it is; each may be SILENT."""
    text = plain(words)
    doubt = gone = Meaning.SILENT
    for means, pattern in _PATTERNS:
        if means in GONE:
            if not gone and pattern.search(text):
                gone = means
        elif not doubt and pattern.search(text):
            doubt = means
    return doubt, gone


def in_words(words: str) -> bool:
    """Whether the words alone call the address dead."""
    doubt, gone = read_words(words)
    return bool(gone) and not doubt


def plain(words: str) -> str:
    """The words alone: an address or a host can be named after anything."""
    text = unicodedata.normalize("NFKC", words[:WORDS_LIMIT]).replace("\u2019", "'")
    # Its place is kept: "<kim@example.com> does not exist" says of what.
    text = _NOT_WORDS.sub(" ", _ADDRESS.sub(" @ ", text))
    return " ".join(re.sub(r"[-_/\\|\"]", " ", text).lower().split())


def _asks_to_try_again(*texts: str) -> bool:
    found = (pattern.search(text) for text in texts for pattern in (_ENHANCED, _CODE))
    return any(match[1].startswith("4") for match in found if match)


def _other(enhanced: str) -> Meaning:
    return Meaning.POLICY if enhanced.startswith("7.") else Meaning.OTHER


def _weaker(meanings: set[Meaning]) -> Meaning:
    doubts = sorted(meanings - GONE)
    # Unknown and disabled at once is still an end.
    return doubts[0] if doubts else Meaning.UNKNOWN
