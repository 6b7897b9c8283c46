"""What a provider gets, a message, and what it answers, an `Outcome`.

A provider's own reply codes and error names stop here: the rest of the system sees an `Outcome`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

DETAIL_LIMIT = 500
"""Characters of a provider's reply that are stored."""

MayCommit = Callable[[], bool]
"""Called right before the irrevocable step (the final dot, the HTTP request). False: do not send."""


class Result(StrEnum):
    """The result of a send; only the delivery step decides what follows from it."""

    SENT = "sent"
    """The provider accepted the message."""
    RETRY = "retry"
    """Refused temporarily; this attempt counts."""
    DEFERRED = "deferred"
    """Not tried, or throttled by the provider; no attempt is used up."""
    PERMANENT = "permanent"
    """Refused for good."""
    CONFIGURATION = "configuration"
    """Our own configuration is wrong (host, certificate, credentials): uses up no attempt; an operator must act."""
    UNKNOWN = "unknown"
    """The connection broke after the irrevocable step: the message may have been sent."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a provider reports later about an accepted message, where that is known at once: only in the sandbox.

    `status`: delivered or bounced. `permanent`: the address or token is dead. `complaint`: the person reported it as
    spam.
    """

    status: str
    detail: str = ""
    permanent: bool = False
    complaint: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one send.

    `code`: a stable snake_case code of ours, for filters and metrics. `detail`: the provider's reply, at most
    `DETAIL_LIMIT` characters. `wait`: seconds; for RETRY the least wait, for DEFERRED the wait itself, None where the
    policy decides. `recipient_gone`: this address or token is dead for good (suppress the address, retire the
    device). `untried`: the message itself was invalid and the provider was not called, so this says nothing about the
    provider. `provider_error`: counts against the provider's circuit breaker. `feedback`: applied once the outcome is
    recorded.
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
