"""One IMAP folder from a URL: its address, what proves who we are, and where its mails go."""

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast
from urllib.parse import parse_qsl, unquote, urlsplit

_SECRETS = ("password_file", "password_env", "token_file", "token_command")
_OPTIONS = frozenset({"tls", "ca", "aside", "done", "every", *_SECRETS})
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,255}")
COMMAND_SECONDS = 30


class NoSecret(Exception):
    """The password or token can't be had now; the message says why, without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImapSettings:
    """One folder. `every`: seconds between two readings. An empty `ca_file` means the system's authorities, an empty
    `done` that read mails stay where they are. Raises ValueError for invalid settings."""

    host: str
    port: int
    username: str
    folder: str = "INBOX"
    tls: Literal["none", "starttls", "tls"] = "tls"
    ca_file: str = ""
    aside: str = "Aside"
    done: str = ""
    every: int = 30
    secret: tuple[str, str]
    """Which of `password_file`, `password_env`, `token_file` and `token_command`, and its value."""

    def __post_init__(self) -> None:
        if not self.host:
            raise ValueError("the IMAP URL has no host")
        if not 0 < self.port < 65536:
            raise ValueError("the IMAP port must be between 1 and 65535")
        if self.tls not in ("none", "starttls", "tls"):
            raise ValueError("the IMAP tls option must be starttls or none; imaps:// is TLS from the start")
        if not _TEXT.fullmatch(self.username):
            raise ValueError("the IMAP URL needs a user name: imaps://user@host/INBOX")
        if not all(_TEXT.fullmatch(name) for name in (self.folder, self.aside, self.done or "-")):
            raise ValueError(
                "an IMAP folder's name has 1 to 255 characters, none of them a control character"
            )
        if self.folder in (self.aside, self.done):
            raise ValueError("the IMAP folders aside and done must be others than the one that is read")
        if not 1 <= self.every <= 86400:
            raise ValueError("the IMAP option every is a number of seconds from 1 to 86400")

    @classmethod
    def from_url(cls, url: str) -> "ImapSettings":
        """`imaps://user@host:993/INBOX?password_file=/file`, percent-encoded, or `imap://…?tls=starttls` (port 143,
        the default there). A password goes out in the clear only where `tls=none` says so."""
        # urlsplit's own messages may quote pieces of a password.
        try:
            parts = urlsplit(url)
            port, options = parts.port, dict(parse_qsl(parts.query, keep_blank_values=True))
        except ValueError:
            raise ValueError("the IMAP URL's host or port can't be read") from None
        if parts.scheme not in ("imap", "imaps"):
            raise ValueError("SOURCE is a maildir, an URL of imaps:// or imap://, or -")
        if parts.password is not None:
            raise ValueError(
                "a password in the IMAP URL is seen by everyone who lists processes: name password_file or"
                " password_env instead"
            )
        if parts.fragment or not options.keys() <= _OPTIONS:
            raise ValueError(f"an IMAP URL has only the options {', '.join(sorted(_OPTIONS))}")
        secrets = [(name, options[name]) for name in _SECRETS if options.get(name)]
        if len(secrets) != 1:
            raise ValueError(f"an IMAP URL needs one of {', '.join(_SECRETS)}")
        tls = options.get("tls", "starttls")
        if parts.scheme == "imaps":
            if options.get("tls", "tls") != "tls":
                raise ValueError("an IMAP URL of imaps:// is TLS from the start: leave its tls option out")
            tls = "tls"
        every = options.get("every", "30")
        return cls(
            host=parts.hostname or "",
            port=(993 if tls == "tls" else 143) if port is None else port,
            username=unquote(parts.username or ""),
            folder=unquote(parts.path.removeprefix("/")) or "INBOX",
            tls=cast(Literal["none", "starttls", "tls"], tls),
            ca_file=options.get("ca", ""),
            aside=options.get("aside", "Aside"),
            done=options.get("done", ""),
            every=int(every) if re.fullmatch(r"[0-9]{1,5}", every) else 0,
            secret=secrets[0],
        )

    @property
    def name(self) -> str:
        """What the folder is called wherever it is remembered or reported."""
        return f"{self.username}@{self.host}:{self.port}/{self.folder}"

    @property
    def has_token(self) -> bool:
        return self.secret[0].startswith("token_")

    def read_secret(self) -> str:
        """The password or access token, read anew each time, since both are renewed. Raises NoSecret."""
        kind, value = self.secret
        try:
            if kind == "token_command":
                text = _output_of(value)
            elif kind == "password_env":
                text = os.environ.get(value, "")
            else:
                text = Path(value).read_text()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise NoSecret(f"{kind}: {_reason(error)}") from error
        text = text.rstrip("\r\n")
        if not text or "\0" in text:
            raise NoSecret(f"{kind} gives nothing")
        return text


def _output_of(command: str) -> str:
    # Without a shell; what it writes on standard error comes out with ours.
    arguments = shlex.split(command)
    done = subprocess.run(  # noqa: S603 - the operator's own command
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=COMMAND_SECONDS,
        check=True,
    )
    return done.stdout


def _reason(error: Exception) -> str:
    """Without the output, which may hold a token."""
    if isinstance(error, subprocess.CalledProcessError):
        return f"the command ended with {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"the command took more than {COMMAND_SECONDS} s"
    if isinstance(error, OSError):
        return f"{error.strerror}: {error.filename}"
    return "can't be read as text"
