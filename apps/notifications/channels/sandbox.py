"""The provider for test keys: the whole pipeline runs, and nothing leaves the machine.

Some recipients choose their outcome by name, as `bounced@sandbox.test` does; each channel's message knows its own.
"""

import time
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from apps.notifications.channels.message import Message
from apps.notifications.channels.outcome import Feedback, MayCommit, Outcome, Result
from apps.notifications.channels.provider import Capabilities, ProviderKind

TEMPORARY_FAILURES = 2
SLOW_SECONDS = 2.0
"""Seconds: long enough to be noticed, short enough not to hold up a worker's send slot."""
REQUESTED = "Requested by the sandbox recipient."
FEEDBACK = {
    "delivered": Feedback("delivered", REQUESTED),
    "bounced": Feedback("bounced", REQUESTED, permanent=True),
    "complained": Feedback("delivered", REQUESTED, complaint=True),
}


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """The sandbox has no settings."""

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Raises ValueError for a URL with a host, a path or options."""
        parts = urlsplit(url)
        if parts.netloc or parts.path or parts.query:
            raise ValueError("sandbox:// takes nothing but the options of every provider")
        return cls()


class SandboxProvider:
    """Accepts every message and discards it, unless its recipient asks for another outcome."""

    def __init__(self, name: str = "sandbox") -> None:
        self.name = name

    def send(self, message: Message, *, may_commit: MayCommit) -> Outcome:
        if not may_commit():
            return Outcome(Result.DEFERRED, "lease_lapsed", wait=0)
        match scenario := message.scenario:
            case "tempfail" if message.attempt <= TEMPORARY_FAILURES:
                return Outcome(Result.RETRY, "temporarily_refused", REQUESTED)
            case "permfail":
                return Outcome(Result.PERMANENT, "refused", REQUESTED)
            case "unknown":
                return Outcome(Result.UNKNOWN, "connection_lost", REQUESTED)
            case "slow":
                time.sleep(SLOW_SECONDS)
        return Outcome(
            Result.SENT,
            "accepted",
            "Accepted by the sandbox; nothing was sent.",
            provider_message_id=f"sandbox-{message.reference.replace('-', '')}",
            feedback=FEEDBACK.get(scenario),
        )

    def close(self) -> None:
        """There is no connection to close."""


SANDBOX = ProviderKind(
    name="sandbox",
    schemes=("sandbox",),
    settings_from_url=SandboxSettings.from_url,
    make=lambda name, _: SandboxProvider(name),
    capabilities=Capabilities(smtputf8=True),
)
"""Every channel has it."""
