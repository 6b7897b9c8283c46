"""The provider of test keys: the whole pipeline runs, and nothing leaves the machine.

Some recipients are magic: what comes of a message is in its address (`bounced@sandbox.test`) or its device token
(`sandbox-bounced`). What follows a `+` in the address or another `-` in the token makes no difference, so that
a rehearsal may have as many of each as it likes.
"""

import time
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from apps.notifications.channels.outcome import EmailMessage, Feedback, MayCommit, Message, Outcome, Result

DOMAIN = "sandbox.test"
TOKEN_PREFIX = "sandbox-"  # noqa: S105 - no secret
TEMPORARY_FAILURES = 2
SLOW_SECONDS = 2.0
"""Long enough to be seen, and short enough not to keep a worker's slot from others."""
SAYS_SO = "The sandbox was asked for it."
FEEDBACK = {
    "delivered": Feedback("delivered", SAYS_SO),
    "bounced": Feedback("bounced", SAYS_SO, permanent=True),
    "complained": Feedback("delivered", SAYS_SO, complaint=True),
}


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """There is nothing to set."""

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Raises ValueError."""
        parts = urlsplit(url)
        if parts.netloc or parts.path or parts.query:
            raise ValueError("sandbox:// takes nothing but the options of every provider")
        return cls()


class SandboxProvider:
    """Takes every message and forgets it, unless its recipient is magic."""

    def __init__(self, name: str = "sandbox") -> None:
        self.name = name

    def send(
        self,
        message: Message,
        *,
        may_commit: MayCommit,
        pipelined_next: Message | None = None,
    ) -> Outcome:
        if not may_commit():
            return Outcome(Result.DEFERRED, "lease_lapsed", wait=0)
        if isinstance(message, EmailMessage):
            wish, identity = _wish_of_address(message.to), message.message_id.strip("<>").partition("@")[0]
        else:
            wish, identity = _wish_of_token(message.token), message.delivery_id.replace("-", "")
        match wish:
            case "tempfail" if message.attempt <= TEMPORARY_FAILURES:
                return Outcome(Result.RETRY, "temporarily_refused", SAYS_SO)
            case "permfail":
                return Outcome(Result.PERMANENT, "refused", SAYS_SO)
            case "unknown":
                return Outcome(Result.UNKNOWN, "connection_lost", SAYS_SO)
            case "slow":
                time.sleep(SLOW_SECONDS)
        return Outcome(
            Result.SENT,
            "accepted",
            "Taken by the sandbox; nothing was sent.",
            provider_message_id=f"sandbox-{identity}",
            feedback=FEEDBACK.get(wish),
        )

    def close(self) -> None:
        """Nothing is open."""


def _wish_of_address(address: str) -> str:
    name, _, domain = address.lower().rpartition("@")
    return name.partition("+")[0] if domain == DOMAIN else ""


def _wish_of_token(token: str) -> str:
    prefix, wish = token[: len(TOKEN_PREFIX)], token[len(TOKEN_PREFIX) :]
    return wish.partition("-")[0] if prefix == TOKEN_PREFIX else ""
