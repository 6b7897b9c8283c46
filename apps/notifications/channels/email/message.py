"""A rendered email."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SANDBOX_DOMAIN = "sandbox.test"


@dataclass(frozen=True, slots=True)
class EmailMessage:
    """A rendered email to one address. `message_id` includes its angle brackets; `headers` are additional ones;
    `attempt` counts from 1. `return_path`: where mail servers send bounces; empty: to the sender."""

    message_id: str
    sender: str
    to: str
    subject: str
    html: str
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 1
    return_path: str = ""

    @property
    def reference(self) -> str:
        return self.message_id.strip("<>").partition("@")[0]

    @property
    def scenario(self) -> str:
        """Of `bounced@sandbox.test`: bounced. What follows a `+` is ignored, so that a test may use any number."""
        name, _, domain = self.to.lower().rpartition("@")
        return name.partition("+")[0] if domain == SANDBOX_DOMAIN else ""
