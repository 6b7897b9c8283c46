"""What a channel declares."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a part of a content is: how authors edit it, how it is validated and rendered."""

    LINE = "line"
    """A Liquid source, rendered as text in one line."""
    TEXT = "text"
    """A Liquid source, rendered as text."""
    HTML = "html"
    """A Liquid source, rendered as HTML: variables are escaped, styles are inlined."""
    IMAGE = "image"
    """A Liquid source of an image's http(s) address."""
    LINK = "link"
    """A Liquid source of an address that a tap opens: http(s), or an app's scheme."""
    DATA = "data"
    """An object of string keys, which are not rendered, and Liquid sources."""
    FORMAT = "format"
    """No source: the format that the HTML part is written in."""
    LAYOUT = "layout"
    """No source: the name of the layout around the content."""


OPTIONS = frozenset({Kind.FORMAT, Kind.LAYOUT})
"""Kinds that are chosen, not written: nothing is rendered of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a channel's content. `name`: in the API, in a version's stored parts and in error messages.

    `label`, `help_text`, `rows`: of its form field; with `rows` it is a text area. `key_error`: of DATA, the sentence
    about a key that can't be sent; empty for any other key.
    """

    name: str
    kind: Kind
    label: str
    help_text: str = ""
    rows: int = 0
    key_error: Callable[[str], str] | None = None


Rendered = Mapping[str, Any]
"""The text of each part, by its name; of DATA an object of texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What is counted of a rendered content, and shown with it. `kind`: int or str, which `of` returns."""

    name: str
    kind: type[int] | type[str]
    help_text: str
    of: Callable[[Rendered], int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What a channel's messages are sent to.

    `example`: in the OpenAPI document. `request_field`: the member of a request's `recipient`. `noun`: in
    sentences. `limit`: characters. `format`: OpenAPI's, or empty. `person_column`: the column of a person that
    holds it; empty where each of their devices has one. `spelled`: the form that is stored and sent to; raises
    ValueError with a sentence. `comparable`: a key that all spellings of one address share; `former`: the keys
    that an earlier release gave them. `folded`: the forms to which a database may lower it. `masked`: enough to
    recognise it. `readable`: people recognise it, so that a suppression stores it to be shown.
    """

    request_field: str
    noun: str
    limit: int
    example: str
    spelled: Callable[[str], str]
    masked: Callable[[str], str]
    comparable: Callable[[str], str] = str
    former: Callable[[str], Collection[str]] = lambda _: ()
    folded: Callable[[str], Collection[str]] = lambda address: {address.lower()}
    format: str = ""
    person_column: str = ""
    readable: bool = False
    of_device: bool = field(init=False)
    """Whether a person has any number of them, one a device."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "of_device", not self.person_column)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """`steps`: seconds to wait after the first, second, … failed attempt. `repeat_last`: the last one repeats until
    the deadline. `deadline`: seconds after the first due time, from which on nothing is tried any more."""

    steps: tuple[float, ...]
    repeat_last: bool
    deadline: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A way to reach a person.

    `code`: in URLs, rows, queues and the names of settings; at most 16 lower-case letters. `label`: for
    operators. `names`: by language, on the preference page. `required`: the parts that a version can't do
    without; `one_of`: those of which it needs at least one. `example`: a content, by part, in the OpenAPI
    document. `figures`: shown in previews and dry runs. `too_much`: a sentence about a rendered content that
    can't be sent, with its part's name, (name, sentence); None for any other.
    """

    code: str
    label: str
    names: Mapping[str, str]
    address: Address
    parts: tuple[Part, ...]
    required: tuple[str, ...]
    example: Mapping[str, Any]
    retries: RetryPolicy
    one_of: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    too_much: Callable[[Rendered], tuple[str, str] | None] | None = None
    sources: tuple[Part, ...] = field(init=False)
    """The parts that are written and rendered."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(part for part in self.parts if part.kind not in OPTIONS))
