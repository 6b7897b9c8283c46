"""Email addresses in their canonical spelling, which is stored, hashed and sent to servers; and senders.

The spelling: the domain as IDNA 2008 in ASCII (an address literal in its shortest form), the local part with its
own letters, composed (NFC), and in quotes only where it needs them. So one mailbox has one spelling but for the case
of ASCII letters, which is kept as it was given, and which `comparable` removes.
"""

import re
import unicodedata
from contextlib import suppress
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from functools import lru_cache
from typing import NamedTuple

import email_validator
import idna

ADDRESS_LIMIT = 254
"""Octets of a whole address: RFC 5321's limit of a path without its brackets."""
LOCAL_LIMIT = 64
"""Octets of the local part, with its quotes."""

# Domains such as `.local` and `.test` are accepted: this host's relay may well serve them.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

_PLAIN_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_PLAIN_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# Two hyphens may begin punycode, which has to be decoded and checked.
_PLAIN = re.compile(
    rf"(?=.{{3,{ADDRESS_LIMIT}}}\Z)(?=[^@]{{1,{LOCAL_LIMIT}}}@)(?!.*@.*--)"
    rf"{_PLAIN_LOCAL}@(?:{_PLAIN_LABEL}\.)+[A-Za-z]{{2,63}}"
)
"""Matches nearly all addresses; the library needs thirty times as long to accept the same ones."""
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_JOINERS = re.compile("[\u200c\u200d]")
_BRACKETED = re.compile(rf"(.*?)<((?:{_QUOTED.pattern}|[^\"<>])*@[^<>\"]*)>", re.DOTALL)


class InvalidAddress(ValueError):
    """The text is no email address. The message says why, and repeats no more of it than single characters."""


def spelled(address: str) -> str:
    """The address in its canonical spelling. Raises InvalidAddress."""
    return address if _PLAIN.fullmatch(address) else _spelled(address)


@lru_cache(maxsize=1024)
def _spelled(address: str) -> str:
    if len(address) > ADDRESS_LIMIT:
        raise InvalidAddress(f"An email address has {ADDRESS_LIMIT} characters at most.")
    _refuse_look_alikes(address)
    joined = _joined(address)
    try:
        read = email_validator.validate_email(
            f"{address.rpartition('@')[0]}@example.com" if joined else address,
            allow_smtputf8=True,
            allow_quoted_local=True,
            allow_domain_literal=True,
            check_deliverability=False,
            globally_deliverable=False,
        )
    except email_validator.EmailNotValidError as error:
        detail = str(error).rstrip(".")
        raise InvalidAddress(f"Enter a valid email address, as name@example.com. {detail}.") from error
    local, domain = _local_part(read), joined or read.ascii_domain
    if not domain.startswith("["):
        domain = domain.lower()
        _refuse_unknown_top(domain)
    if len(local.encode()) > LOCAL_LIMIT:
        raise InvalidAddress(f"Before its @ an email address has {LOCAL_LIMIT} octets at most.")
    written = f"{local}@{domain}"
    if len(written.encode()) > ADDRESS_LIMIT:
        raise InvalidAddress(f"An email address has {ADDRESS_LIMIT} octets at most.")
    return written


def _joined(address: str) -> str:
    """The domain in ASCII, where it has an invisible joiner that its script needs (IDNA's CONTEXTJ), as Persian and
    Sinhala names do. The library accepts none of these. Empty for any other domain."""
    domain = address.rpartition("@")[2]
    if "xn--" not in domain.lower() and not _JOINERS.search(domain):
        return ""
    try:
        written = idna.encode(domain, uts46=True, std3_rules=True).decode().lower()
        return written if _JOINERS.search(idna.decode(written)) else ""
    except UnicodeError:
        # The library reports what is wrong.
        return ""


def _local_part(read: email_validator.ValidatedEmail) -> str:
    """The local part with the case of its letters as given, also where the library lower-cases it (`Info`, say)."""
    given = read.original.rpartition("@")[0]
    bare = _QUOTED_PAIR.sub(r"\1", given[1:-1]) if given.startswith('"') else given
    return bare if bare.lower() == read.local_part else read.local_part


def _refuse_look_alikes(address: str) -> None:
    """Refuses characters, the Kelvin sign among them, that Unicode normalizes to another letter. Accepted as they are
    they would be a second spelling; replaced silently they might make another person's address."""
    if address.isascii():
        return
    for char in address.partition("@")[0]:
        letter = unicodedata.normalize("NFC", char)
        if letter != char and len(letter) == 1:
            raise InvalidAddress(
                f"The email address has the look-alike U+{ord(char):04X} in it. Write {letter!r} in its place."
            )


def _refuse_unknown_top(domain: str) -> None:
    _, dot, top = domain.rpartition(".")
    if (not dot and domain != "localhost") or top.isdigit():
        raise InvalidAddress(
            "Enter a valid email address, as name@example.com. The part after the @-sign is no domain; an IP address"
            " stands in brackets: name@[192.0.2.1], name@[IPv6:2001:db8::1]."
        )


def tidied(address: str) -> str:
    """The address in its canonical spelling, also where that needs a folding that `spelled` refuses: older rows have
    such addresses, and their mail went to the folded domain. Text that is no address is returned unchanged."""
    address = address.strip()
    try:
        return spelled(address)
    except InvalidAddress:
        if "@" not in address or len(address) > ADDRESS_LIMIT:
            return address
    local, _, domain = address.rpartition("@")
    try:
        return spelled(f"{local}@{idna.encode(domain, uts46=True).decode()}")
    except (InvalidAddress, UnicodeError):
        return address


def comparable(address: str) -> str:
    """A key that all spellings of a mailbox share. For text that is no address: the text, trimmed, in lower case."""
    address = address.strip()
    return address.lower() if _PLAIN.fullmatch(address) else tidied(address).translate(_LOWER)


def folded(address: str) -> set[str]:
    """The forms to which a database may fold the address, for a look-up: they differ about letters beyond ASCII.
    Compare the rows that are found by `comparable`."""
    now = tidied(address)
    return {now, now.lower(), now.translate(_LOWER)}


def former_comparables(address: str) -> list[str]:
    """The keys that an earlier release gave other spellings of this mailbox: it told apart the two forms of a domain,
    and local parts with needless quotes."""
    now = comparable(address)
    local, at, domain = now.rpartition("@")
    if not at:
        return []
    domains = [domain]
    if "xn--" in domain:
        # An invalid domain was no address either.
        with suppress(idna.IDNAError):
            domains.append(idna.decode(domain).lower())
    quoted = local if local.startswith('"') else f'"{local}"'
    spellings = {f"{written}@{form}" for written in (local, quoted) for form in domains}
    return sorted(spellings - {now})


class Sender(NamedTuple):
    """The From of a message: a display name, decoded, which may be empty, and an address in its one spelling."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]

    def __str__(self) -> str:
        """Formatted as in a header, with characters beyond ASCII unencoded."""
        if not self.name:
            return self.address
        quoted = self.name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <{self.address}>'


@lru_cache(maxsize=1024)
def sender(text: str) -> Sender:
    """Parses `name@domain` or `Name <name@domain>`. The name may have the quotes that a comma, say, needs in a
    header, or be MIME-encoded. Raises InvalidAddress."""
    text = text.strip()
    found = _BRACKETED.fullmatch(text) if text.endswith(">") else None
    if found is None:
        return Sender("", spelled(text))
    given, address = found[1].strip(), spelled(found[2].strip())
    if '"' not in given:
        name = _decoded(given)
    else:
        name = re.sub(_QUOTED, lambda quoted: _QUOTED_PAIR.sub(r"\1", quoted[1]), given)
    if re.search(r"[<>]|@.*,", re.sub(_QUOTED, "", given)):
        raise InvalidAddress("Give one address; a name with such characters stands in double quotes.")
    return Sender(name, address)


def _decoded(name: str) -> str:
    if "=?" not in name:
        return name
    try:
        decoded = str(make_header(decode_header(name)))
    except (HeaderParseError, LookupError, ValueError):
        return name
    # A decoded line break could otherwise break a header again.
    return decoded if decoded.isprintable() else name
