"""A provider is one folder, and `ProviderKind` is what it declares: everything else learns of it from there.

    channels/<channel>/providers/<name>/kind.py    KIND, the declaration
                                        …          its settings, sending, outcomes, tracking events

A folder that stands in its channel's `registry.py` is a provider; nothing outside names one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, Protocol, TypeVar

from apps.notifications.channels.outcome import MayCommit, Outcome
from apps.notifications.channels.tracking import EventsReader

M = TypeVar("M", contravariant=True)
S = TypeVar("S")


class Provider(Protocol[M]):
    """Sends the messages of one channel. Shared by threads; `send` never retries and bounds every wait. `close` ends
    what is connected and may be called at any time, any number of times: the next `send` connects anew."""

    name: str

    def send(self, message: M, *, may_commit: MayCommit) -> Outcome: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do beyond sending one plain message.

    `pipelines`: `send` also takes `pipelined_next`, the message that the same thread most likely sends next. It may
    prepare for it, and must accept that it never comes. `smtputf8`: it takes email addresses whose local part has
    letters beyond ASCII, though a relay behind it may still refuse one.
    """

    pipelines: bool = False
    smtputf8: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderKind(Generic[S]):
    """One kind of provider.

    `name`: what an account is called whose URL gives no name, and the name of its folder. `schemes`: of the URLs that
    mean it. `settings_from_url`: an account's settings, from its URL without the options that every provider has;
    raises ValueError with a sentence that repeats no secret. `make`: the provider, from the account's name and
    settings; raises ValueError or OSError where these can't be used. `events`: what verifies and reads the posts by
    which the provider reports to such an account later; None where it makes none.
    """

    name: str
    schemes: tuple[str, ...]
    settings_from_url: Callable[[str], S]
    make: Callable[[str, S], Provider[Any]]
    capabilities: Capabilities = Capabilities()
    events: Callable[[S], EventsReader] | None = None


def kinds_in(package: str, *names: str) -> tuple[ProviderKind[Any], ...]:
    """What these folders of the package declare."""
    return tuple(import_module(f"{package}.{name}.kind").KIND for name in names)
