"""What every message has, whichever channel's it is."""

from typing import Protocol


class Message(Protocol):
    """A rendered message to one recipient. `attempt` counts from 1; `reference` is the same for every attempt;
    `scenario`: the outcome that a recipient asks for who is there for tests, empty for any other."""

    @property
    def attempt(self) -> int: ...

    @property
    def reference(self) -> str: ...

    @property
    def scenario(self) -> str: ...
