"""What a provider is: one class that sends a message and says what came of it.

`following` is what the same thread sends next, most likely: a provider may prepare for it, and must not mind if it
never comes.

A provider's own words (reply codes, error names) stop here: the rest of the system sees an `Outcome`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

DETAIL_LIMIT = 500
"""Characters of a provider's own words that are kept."""

MayCommit = Callable[[], bool]
"""Asked right before the step that can't be taken back (the final dot, the HTTP request). False: stop here."""


class Result(StrEnum):
    """What a send came to; the delivery step alone decides what follows from it."""

    SENT = "sent"
    """The provider took the message."""
    RETRY = "retry"
    """Refused for now; this attempt counts."""
    DEFERRED = "deferred"
    """It was not tried, or the provider asked for patience; no attempt is used."""
    PERMANENT = "permanent"
    """It will never be taken."""
    CONFIGURATION = "configuration"
    """Our own set-up is at fault (host, certificate, credentials): nothing is used up, an operator is told."""
    UNKNOWN = "unknown"
    """The connection broke after the point of no return: it may have been sent."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a provider says later of a message it took, where that is known at once: in the sandbox alone.

    `status`: delivered or bounced. `permanent`: the address or token is dead. `complaint`: the person called it
    spam.
    """

    status: str
    detail: str = ""
    permanent: bool = False
    complaint: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """One send's end.

    `code`: a stable snake_case word of ours, for filters and metrics. `detail`: the provider's words, at most
    `DETAIL_LIMIT` characters. `wait`: seconds; for RETRY the least wait, for DEFERRED the wait itself, None
    where the policy decides. `recipient_gone`: this address or token is dead for good (suppress the address,
    retire the device). `untried`: the message itself was at fault and the provider never asked, so this says nothing
    of it. `provider_error`: counts against the provider's circuit. `feedback`: to be heard once the
    outcome is written down.
    """

    result: Result
    code: str
    detail: str = ""
    wait: float | None = None
    recipient_gone: bool = False
    provider_error: bool = False
    provider_message_id: str = ""
    feedback: Feedback | None = None
    untried: bool = False


@dataclass(frozen=True, slots=True)
class EmailMessage:
    """A rendered email to one address. `message_id` is with its angle brackets; `headers` are extra ones;
    `attempt` counts from 1. `return_path`: where a mail server sends its bounces; empty: to the sender."""

    message_id: str
    sender: str
    to: str
    subject: str
    html: str
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 1
    return_path: str = ""


@dataclass(frozen=True, slots=True)
class PushMessage:
    """A rendered push to one device. `collapse_key`: on the device it replaces what came with the same one; FCM keeps
    four such messages a device, so empty unless that is what was asked for. `expires_at`: from then on it is shown to
    nobody; None: when the provider gives up."""

    delivery_id: str
    token: str
    title: str
    body: str
    image: str = ""
    link: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 1
    collapse_key: str = ""
    expires_at: datetime | None = None


Message = EmailMessage | PushMessage


class EmailProvider(Protocol):
    name: str

    def send(
        self, message: EmailMessage, *, may_commit: MayCommit, pipelined_next: EmailMessage | None = None
    ) -> Outcome: ...

    def close(self) -> None: ...


class PushProvider(Protocol):
    name: str

    def send(
        self, message: PushMessage, *, may_commit: MayCommit, pipelined_next: PushMessage | None = None
    ) -> Outcome: ...

    def close(self) -> None: ...
