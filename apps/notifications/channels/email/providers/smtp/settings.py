"""One relay from a URL: its address, the login and the timeouts."""

import base64
import re
from dataclasses import dataclass, field
from typing import Literal, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from apps.notifications.channels.email.dkim import Signer
from apps.notifications.channels.email.providers.smtp.outcomes import Phase

_HOST = re.compile(
    r"(?=.{1,253}$)[\w-]{1,63}(\.[\w-]{1,63})*|[\da-f]*(:[\da-f]*){2,7}", re.ASCII | re.IGNORECASE
)
_DKIM = ("dkim_domain", "dkim_selector", "dkim_key")
_OPTIONS = frozenset({"tls", "ehlo", "ca", *_DKIM})


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpSettings:
    """One relay. Times are in seconds; an empty `ehlo_name` means the connection's own address literal, an
    empty `ca_file` the system's authorities. Raises ValueError for invalid settings, without the password."""

    host: str
    port: int = 25
    username: str = ""
    password: str = field(default="", repr=False)
    tls: Literal["none", "starttls", "tls"] = "none"
    ehlo_name: str = ""
    ca_file: str = ""
    dkim: Signer | None = None
    connect_timeout: float = 5
    command_timeout: float = 30
    data_timeout: float = 60
    dot_timeout: float = 300  # long: giving up on a server that is still storing makes duplicates
    before_dot_timeout: float = 120
    quit_timeout: float = 2
    idle_limit: float = 60
    message_limit: int = 1000

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.host):
            raise ValueError("the SMTP host is missing or no host name (write an IDN as punycode)")
        if not 0 < self.port < 65536:
            raise ValueError("the SMTP port must be between 1 and 65535")
        if self.tls not in ("none", "starttls", "tls"):
            raise ValueError("the SMTP tls option must be none, starttls or tls")
        if not re.fullmatch(r"[!-~]{0,255}", self.ehlo_name):
            raise ValueError("the SMTP ehlo name must be printable ASCII without spaces")
        if "\0" in self.username + self.password or bool(self.username) != bool(self.password):
            raise ValueError("SMTP user name and password go together, and neither may hold NUL")

    @classmethod
    def from_url(cls, url: str) -> "SmtpSettings":
        """`smtp://user:password@host:587/?tls=starttls&ehlo=name&ca=/file`, percent-encoded. `smtps://` is
        TLS from the start (port 465). Without `tls`, a URL with a user name means starttls (port 587):
        a password goes out in the clear only where `tls=none` says so."""
        # urlsplit's own messages may quote pieces of the password.
        try:
            parts = urlsplit(url)
            port, options = parts.port, dict(parse_qsl(parts.query, keep_blank_values=True))
        except ValueError:
            raise ValueError("the SMTP URL's host or port can't be read (is the password encoded?)") from None
        if parts.scheme not in ("smtp", "smtps"):
            raise ValueError("the SMTP URL must begin with smtp:// or smtps://")
        if parts.path not in ("", "/") or parts.fragment or not options.keys() <= _OPTIONS:
            raise ValueError(
                "after its host an SMTP URL has only /?tls=…&ehlo=…&ca=… and dkim_domain, dkim_selector, dkim_key"
                " (encode / ? # in a password)"
            )
        signing = [options.get(name, "") for name in _DKIM]
        if any(signing) and not all(signing):
            raise ValueError("for DKIM an SMTP URL needs all of dkim_domain, dkim_selector and dkim_key")
        tls = options.get("tls", "starttls" if parts.username else "none")
        if parts.scheme == "smtps":
            if options.get("tls", "tls") != "tls":
                raise ValueError("an SMTP URL of smtps:// is TLS from the start: leave its tls option out")
            tls = "tls"
        return cls(
            host=parts.hostname or "",
            port={"tls": 465, "starttls": 587}.get(tls, 25) if port is None else port,
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            tls=cast(Literal["none", "starttls", "tls"], tls),
            ehlo_name=options.get("ehlo", ""),
            ca_file=options.get("ca", ""),
            dkim=Signer.of(*signing) if all(signing) else None,
        )

    def logins(self, offered: str) -> list[tuple[str, ...]]:
        """The lines of each supported mechanism in `offered`, in the order in which they are tried."""
        plain, *login = (
            base64.b64encode(text.encode()).decode()
            for text in (f"\0{self.username}\0{self.password}", self.username, self.password)
        )
        mechanisms = {"PLAIN": (f"AUTH PLAIN {plain}",), "LOGIN": ("AUTH LOGIN", *login)}
        return [lines for name, lines in mechanisms.items() if name in offered.split()]

    def timeout(self, phase: Phase) -> float:
        return {
            Phase.CONNECT: self.connect_timeout,
            Phase.DATA: self.data_timeout,
            Phase.DOT: self.dot_timeout,
        }.get(phase, self.command_timeout)
