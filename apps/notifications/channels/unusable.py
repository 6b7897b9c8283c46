"""Stands where no provider can be had: says so, instead of losing or pretending."""

from apps.notifications.channels.outcome import DETAIL_LIMIT, MayCommit, Message, Outcome, Result


class UnusableProvider:
    """Answers every message with a configuration fault, in the words that it was given."""

    def __init__(self, name: str, code: str, detail: str) -> None:
        self.name = name
        self._outcome = Outcome(Result.CONFIGURATION, code, detail[:DETAIL_LIMIT], provider_error=True)

    def send(
        self,
        message: Message,
        *,
        may_commit: MayCommit,
        pipelined_next: Message | None = None,
    ) -> Outcome:
        return self._outcome

    def close(self) -> None:
        """Nothing is open."""
