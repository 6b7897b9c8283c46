"""The IP address of the caller of a request, behind trusted proxies, and the network that it counts as."""

import ipaddress
import re
from collections.abc import Iterable

from django.conf import settings
from django.http import HttpRequest

WRITTEN = re.compile(
    r"\[(?P<bracketed>[^\[\]]+)\](:\d*)?|(?P<dotted>[0-9.]+):\d*|(?P<bare>[^\[\]\s]+)", re.ASCII
)


def client_address(request: HttpRequest) -> str:
    """The caller's IP address as the outermost of the NUM_PROXIES trusted proxies saw it."""
    forwarded = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    candidates = [str(request.META.get("REMOTE_ADDR"))]
    if settings.NUM_PROXIES and len(forwarded) >= settings.NUM_PROXIES:
        candidates.insert(0, forwarded[-settings.NUM_PROXIES])
    for candidate in candidates:
        try:
            address = ipaddress.ip_address(_bare(candidate))
        except ValueError:
            # A proxy's invalid value must become neither a rate limit key of its own nor an error.
            continue
        # A dual-stack socket shows IPv4 callers as ::ffff:1.2.3.4, which are all in the same /64.
        return str(getattr(address, "ipv4_mapped", None) or address)
    return "127.0.0.1"


def _bare(written: str) -> str:
    """The address without what some proxies add to it: quotes, brackets, a port, a zone."""
    found = WRITTEN.fullmatch(written.strip(' \t"'))
    return (found["bracketed"] or found["dotted"] or found["bare"]).partition("%")[0] if found else ""


def in_networks(address: str, networks: Iterable[str]) -> bool:
    found = ipaddress.ip_address(address)
    return any(found in ipaddress.ip_network(network) for network in networks)


def client_network(request: HttpRequest) -> str:
    """The network that counts as one caller: the IPv4 address, or the /64 in IPv6, which one host may have whole."""
    address = ipaddress.ip_address(client_address(request))
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))
