"""A stand-in for a provider that could not be built: messages wait and the reason is recorded."""

from apps.notifications.channels.message import Message
from apps.notifications.channels.outcome import DETAIL_LIMIT, MayCommit, Outcome, Result


class UnusableProvider:
    """Answers every message with a configuration error that has the given code and detail."""

    def __init__(self, name: str, code: str, detail: str) -> None:
        self.name = name
        self._outcome = Outcome(Result.CONFIGURATION, code, detail[:DETAIL_LIMIT], provider_error=True)

    def send(self, message: Message, *, may_commit: MayCommit) -> Outcome:
        return self._outcome

    def close(self) -> None:
        """There is no connection to close."""
