"""Contents as objects of their channel's parts, and their rendering."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from apps.templates.rendering.rendering import Source, render
from notifier.channels.email import EMAIL
from notifier.channels.push import PUSH


@dataclass(frozen=True)
class EmailContent:
    subject: str
    html: str = ""
    text: str = ""


@dataclass(frozen=True)
class PushContent:
    title: str
    body: str
    image: str = ""
    link: str = ""
    data: Mapping[str, str] = field(default_factory=dict)


def render_email(content, variables):
    return EmailContent(**render(Source(EMAIL, asdict(content)), variables))


def render_push(content, variables):
    return PushContent(**render(Source(PUSH, asdict(content)), variables))
