"""Webhook posts of email services: verified and parsed by django-anymail, converted to `TrackingEvent`s here.

What services send differs from what they document: a field may be null where others leave it out, several events may
come in one post, and some posts are about no message. Each service's `Events` puts an event into the shape that
django-anymail reads, and says what its own words mean.
"""

import json
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

from anymail.exceptions import AnymailConfigurationError, AnymailWebhookValidationFailure
from anymail.signals import AnymailTrackingEvent, EventType
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError
from django.utils.http import parse_header_parameters

from apps.notifications.channels.email.providers.anymail.settings import AnymailSettings
from apps.notifications.channels.email.refusal_phrases import Meaning
from apps.notifications.channels.email.refusals import GONE, reported
from apps.notifications.channels.outcome import DETAIL_LIMIT
from apps.notifications.channels.tracking import (
    MESSAGE_ID_LIMIT,
    Kind,
    NotTracking,
    Post,
    TrackingEvent,
    Unread,
    Unverified,
    detail_of,
    key_of,
)

_KINDS = {
    # Accepted by the service, which is what `sent` means here.
    EventType.QUEUED: Kind.SENT,
    EventType.SENT: Kind.SENT,
    EventType.DELIVERED: Kind.DELIVERED,
    EventType.BOUNCED: Kind.BOUNCED,
    # Accepted, but then not sent.
    EventType.REJECTED: Kind.BOUNCED,
    EventType.FAILED: Kind.BOUNCED,
    EventType.DEFERRED: Kind.DELAYED,
    EventType.COMPLAINED: Kind.COMPLAINED,
    EventType.OPENED: Kind.OPENED,
    EventType.CLICKED: Kind.CLICKED,
}
_ANY_SHAPE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""The library assumes the shape of what it reads, and fails in any of these ways on another."""


class _Request(HttpRequest):
    """A post as Django would have it, its body already read."""

    body = b""

    def __init__(self, post: Post, body: bytes) -> None:
        super().__init__()
        self.method = "POST"
        self.META = dict(post.meta)
        self.content_type = "application/json"
        self.body = self._body = body
        if post.form:
            self.content_type, self.content_params = parse_header_parameters(
                self.META.get("CONTENT_TYPE", "")
            )
            self._read_started = False
            self.META["CONTENT_LENGTH"] = str(len(body))
            # A body that is no form has no fields, and so no signature.
            with suppress(MultiPartParserError, SuspiciousOperation):
                self._load_post_and_files()  # type: ignore[attr-defined]
                self.POST = self._post  # type: ignore[attr-defined]


class AnymailEvents:
    """The `EventsReader` of one account; a service says in a subclass what differs. May raise any of `_ANY_SHAPE`
    for an event in an unknown shape.

    `view`: the library's view. `view_argument`: what that view calls the secret. `hard`, `soft`: which of the
    service's own words, as `bounce_word` finds them, mean a dead address and a temporary refusal; django-anymail
    doesn't distinguish a dead address from a full mailbox.
    """

    forms: ClassVar = False
    signed_inside: ClassVar = False
    identified_by: ClassVar = ""
    view: ClassVar[type]
    view_argument: ClassVar = "webhook_secret"
    hard: ClassVar[frozenset[str]] = frozenset()
    soft: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, settings: AnymailSettings) -> None:
        self.verifies = bool(settings.webhook)
        self._view: Any = self.view(**{self.view_argument: settings.webhook}) if self.verifies else None

    def shaped(self, event: dict[str, Any]) -> Any | None:
        """The event, which has no nulls, as the library reads it; None where it is about no message."""
        return event

    def kind(self, event: AnymailTrackingEvent) -> Kind | None:
        """None: a kind that is not used here."""
        return _KINDS.get(event.event_type)

    def bounce_word(self, raw: Any) -> Any:
        """The service's own word for the kind of a bounce, in its event."""
        return ""

    def is_hard(self, event: AnymailTrackingEvent, word: str) -> bool:
        return word in self.hard

    def key(self, kind: Kind, event: AnymailTrackingEvent, raw: str) -> str:
        """`raw`: the event as it came."""
        return key_of(kind, event.event_id or raw)

    def split(self, post: Post) -> list[Any]:
        """The events of a post; None for the post itself, where it is a form that the library reads as it is. Raises
        ValueError for a body that is no JSON."""
        if post.form:
            return [None]
        value = json.loads(post.body)
        return value if isinstance(value, list) else [value]

    def apart(self, event: Any) -> bytes:
        """The event as the body of a post of its own, which `split` reads."""
        return json.dumps(event, ensure_ascii=False).encode()

    def is_ping(self, post: Post) -> bool:
        return False

    def verify(self, post: Post) -> None:
        try:
            self._view.run_validators(_Request(post, post.body))
        except (AnymailWebhookValidationFailure, *_ANY_SHAPE) as error:
            raise Unverified from error

    def read(self, post: Post) -> tuple[list[TrackingEvent], list[Unread]]:
        try:
            events = self.split(post)
        except _ANY_SHAPE as error:
            return [], [Unread(post.body, _error_in(error))]
        tracked: list[TrackingEvent] = []
        unread: list[Unread] = []
        inbound = 0
        for event in events:
            try:
                tracked += self._read_one(post, event)
            except AnymailConfigurationError:
                inbound += 1
            except _ANY_SHAPE as error:
                body = post.body if event is None else self.apart(event)
                unread.append(Unread(body, _error_in(error)))
        if inbound and inbound == len(events):
            raise NotTracking
        return tracked, unread

    def _read_one(self, post: Post, event: Any) -> list[TrackingEvent]:
        if event is None:
            return list(self._converted(post, post.body, ""))
        if not isinstance(event, dict):
            raise TypeError(f"An event is an object, not {type(event).__name__}.")
        post = replace(post, form=False)
        shaped = self.shaped(_without_nulls(event))
        if shaped is None:
            return []
        # Sorted: the same event may come again with its fields in another order.
        return list(self._converted(post, json.dumps(shaped).encode(), json.dumps(event, sort_keys=True)))

    def _converted(self, post: Post, body: bytes, raw: str) -> Iterable[TrackingEvent]:
        for event in self._view.parse_events(_Request(post, body)):
            kind = self.kind(event)
            if kind is None:
                continue
            permanent = False
            if kind is Kind.BOUNCED:
                word = str(self.bounce_word(event.esp_event))
                if word in self.soft:
                    kind = Kind.SOFT_BOUNCE
                else:
                    # A refusal by policy says nothing about the address, however the service classifies it. Where no
                    # reply is quoted, or none with a known meaning, the service's own classification counts.
                    permanent = self.is_hard(event, word) and reported("", _text_of(event)) in GONE | {
                        Meaning.SILENT
                    }
            yield TrackingEvent(
                kind=kind,
                key=self.key(kind, event, raw),
                delivery_id=_delivery_id(event.metadata),
                provider_message_id=str(event.message_id or "")[:MESSAGE_ID_LIMIT],
                detail=detail_of(_text_of(event)),
                permanent=permanent,
            )


def _error_in(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:DETAIL_LIMIT]


def without(event: dict[str, Any], *names: str) -> dict[str, Any]:
    """The event without these fields, which the library parses and nothing here uses: an odd value is no error."""
    return {name: value for name, value in event.items() if name not in names}


def _without_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_nulls(one) for key, one in value.items() if one is not None}
        case list():
            return [_without_nulls(one) for one in value if one is not None]
    return value


def _text_of(event: AnymailTrackingEvent) -> str:
    text = event.mta_response or event.description
    if (
        not text
        and isinstance(event.esp_event, dict)
        and isinstance(data := event.esp_event.get("data"), dict)
    ):
        failed = data.get("failed") or data.get("suppressed")
        text = failed.get("reason") or failed.get("message") if isinstance(failed, dict) else ""
    return str(text or "")


def _delivery_id(metadata: Any) -> uuid.UUID | None:
    try:
        return uuid.UUID(metadata["delivery_id"])
    except (LookupError, TypeError, ValueError, AttributeError):
        # Another sender's message through the same account, or a service that returns no metadata.
        return None
