"""Which URLs may be called: a client's URL must not reach what only this machine can reach."""

import ipaddress
import queue
import re
import socket
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

URL_LIMIT = 2000
"""Characters."""
VISIBLE = re.compile(r"\A[\x21-\x7e]+\Z")
HOST = re.compile(r"\A([A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?|[0-9A-Fa-f:.]{2,45})\Z")
PORTS = {"https": 443, "http": 80}

# IANA's registries of special-purpose addresses, November 2026. The interpreter's own table differs between its
# versions, in what it holds and in what it makes of an exception inside a block.
_REFUSED = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
            "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
            "224.0.0.0/4", "240.0.0.0/4",
            "2001::/23", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20",
        ),
    )
)  # fmt: skip
_EMBEDDING = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
_ISATAP = (0x00005EFE, 0x02005EFE)
"""What comes before an IPv4 address in the lower half of an IPv6 one that is tunnelled to it (RFC 5214)."""
_GLOBAL = ipaddress.IPv6Network("2000::/3")
"""All of IPv6 that is given out: loopback, link-local, unique local and multicast addresses lie outside."""


class Refused(Exception):
    """The URL may not be called. `code` is stable, the text a sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Unresolved(Exception):
    """The host has no address now."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that has the right form. `authority` is what the Host header says, `path` has the query."""

    secure: bool
    host: str
    port: int
    authority: str
    path: str

    @property
    def trusted(self) -> bool:
        """Named in the settings: any address of it will do."""
        return self.host in settings.CALLBACK_ALLOWED_HOSTS


def parse(url: str) -> Target:
    """The URL's parts. Raises Refused, also where the host is a literal address that is never called."""
    if len(url) > URL_LIMIT:
        raise Refused("max_length", f"Use at most {URL_LIMIT} characters.")
    if not VISIBLE.match(url) or "\\" in url or "#" in url:
        raise Refused("invalid", "Use a URL of visible ASCII characters without `\\` and `#`.")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        raise Refused("invalid", "This is not a URL.") from error
    if parts.scheme not in PORTS or not HOST.match(host) or port == 0:
        raise Refused("invalid", "Use a URL such as https://example.com/hooks.")
    if "@" in parts.netloc:
        raise Refused("credentials", "Leave the credentials out of the URL; every call is signed.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    secure = parts.scheme == "https"
    target = Target(secure, host, port or PORTS[parts.scheme], parts.netloc, path)
    if target.trusted:
        return target
    if not secure:
        raise Refused("https_only", "Use https.")
    try:
        # Numbers only, in whatever spelling the resolver would take later; no name is looked up here.
        literal = socket.getaddrinfo(host, target.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return target
    _judge(literal)
    return target


def resolve(target: Target, *, patience: float) -> list[tuple[Any, ...]]:
    """What the host resolves to now, as `getaddrinfo` has it, every address judged. Raises Refused, Unresolved."""
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    # The resolver knows no deadline of ours.
    threading.Thread(target=look_up, name="resolver", daemon=True).start()
    try:
        found = answers.get(timeout=max(0.0, patience))
    except queue.Empty:
        raise Unresolved("The name was not resolved in time.") from None
    if isinstance(found, Exception) or not found:
        raise Unresolved(f"The name could not be resolved: {found}")
    if not target.trusted:
        _judge(found)
    return list(found)


def _judge(found: list[Any]) -> None:
    """One refused address refuses them all: nobody honest mixes them."""
    if not all(is_public(entry[4][0]) for entry in found):
        raise Refused("address_refused", "The host's address is not a public one.")


def is_public(address: str) -> bool:
    """Whether an address, or the IPv4 one inside it, is one of the public Internet's."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        last = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if inner is None and any(parsed in network for network in _EMBEDDING):
            inner = last
        if inner is None:
            if int(parsed) >> 32 & 0xFFFFFFFF in _ISATAP and _is_refused(last):
                return False
            return parsed in _GLOBAL and not _is_refused(parsed)
        parsed = inner
    return not _is_refused(parsed)


def _is_refused(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return any(address in network for network in _REFUSED if network.version == address.version)
