"""Webhook posts of email services: verified and parsed by django-anymail, converted to `TrackingEvent`s here."""

import base64
import hmac
import json
import re
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from anymail.exceptions import AnymailConfigurationError, AnymailWebhookValidationFailure
from anymail.signals import AnymailTrackingEvent, EventType, RejectReason
from anymail.webhooks.brevo import BrevoTrackingWebhookView
from anymail.webhooks.mailersend import MailerSendTrackingWebhookView
from anymail.webhooks.mailgun import MailgunTrackingWebhookView
from anymail.webhooks.postmark import PostmarkTrackingWebhookView
from anymail.webhooks.resend import ResendTrackingWebhookView
from anymail.webhooks.sparkpost import SparkPostTrackingWebhookView
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError
from django.utils.http import parse_header_parameters

from apps.notifications.channels.email.providers.esp import event_shapes
from apps.notifications.channels.email.providers.esp.settings import EspSettings
from apps.notifications.channels.email.refusal_phrases import Meaning
from apps.notifications.channels.email.refusals import GONE, reported
from apps.notifications.channels.outcome import DETAIL_LIMIT
from apps.notifications.channels.tracking import MESSAGE_ID_LIMIT, Kind, TrackingEvent, detail_of, key_of

CLOCKS_DIFFER_SECONDS = 300
"""How old, or how far ahead, a signature with a time may be: what Standard Webhooks recommend."""
MAILGUN_TRIES_FOR_SECONDS = 24 * 3600
"""Mailgun retries for eight hours. An older signature may have been copied from a log."""


class Unverified(Exception):
    """The post is not signed by the service, or not with this account's secret."""


class NotTracking(Exception):
    """The post is the service's, but about inbound mail instead of messages that were sent."""


class Post(HttpRequest):
    """A request whose body was already read, up to its limit."""

    body = b""

    def __init__(self, meta: dict[str, Any], body: bytes, *, form: bool = False) -> None:
        super().__init__()
        self.method = "POST"
        self.META = meta
        self.content_type = "application/json"
        self.body = self._body = body
        self.form = form
        if form:
            self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
            self._read_started = False
            self.META = {**meta, "CONTENT_LENGTH": str(len(body))}
            # A body that is no form has no fields, and so no signature.
            with suppress(MultiPartParserError, SuspiciousOperation):
                self._load_post_and_files()  # type: ignore[attr-defined]
                self.POST = self._post  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Unread:
    """A tracking event in an unknown shape. `body`: the event as a post of its own; `error`: why it can't be read."""

    body: bytes
    error: str


SIGNED_INSIDE = frozenset({"mailgun"})
"""Services whose signature is part of the body, which must be parsed to be verified: one event a post."""
FORMS = frozenset({"mailgun"})
"""Services that also post forms: Mailgun's older webhooks."""


def verify(settings: EspSettings, post: Post) -> None:
    """Raises Unverified. The body is parsed only where the signature is in it."""
    try:
        _VIEWS[settings.service](settings.webhook).run_validators(post)
    except (
        AnymailWebhookValidationFailure,
        LookupError,
        TypeError,
        ValueError,
        ArithmeticError,
        RecursionError,
        AttributeError,
    ) as error:
        # Beside its own exception: the library's checks assume the shape of the body, and fail in other ways.
        raise Unverified from error


def read(settings: EspSettings, post: Post) -> tuple[list[TrackingEvent], list[Unread]]:
    """A verified post's tracking events, and those that can't be read; kinds that are not used here are dropped.

    An unreadable event does not affect the others. Raises NotTracking, and ValueError for a body that is no JSON.
    """
    view = _VIEWS[settings.service](settings.webhook)
    # A form is one event, which the library reads as it is.
    events = [None] if post.form else event_shapes.split(post.body)
    tracked: list[TrackingEvent] = []
    unread: list[Unread] = []
    inbound = 0
    for event in events:
        try:
            tracked += _read_one(settings.service, view, post, event)
        except AnymailConfigurationError:
            inbound += 1
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            # The library assumes the shape of what it reads, and may fail in any way.
            body = post.body if post.form else json.dumps(event, ensure_ascii=False).encode()
            unread.append(Unread(body, f"{type(error).__name__}: {error}"[:DETAIL_LIMIT]))
    if inbound and inbound == len(events):
        raise NotTracking
    return tracked, unread


def _read_one(service: str, view: Any, post: Post, event: Any) -> list[TrackingEvent]:
    if post.form:
        return list(_tracking_events(service, view.parse_events(post), ""))
    shaped = event_shapes.of_a_message(service, event)
    if shaped is None:
        return []
    body = json.dumps([shaped] if service == "sparkpost" else shaped).encode()
    # Sorted: the same event may come again with its fields in another order.
    raw = json.dumps(event, sort_keys=True)
    return list(_tracking_events(service, view.parse_events(Post(post.META, body)), raw))


class _ResendView(ResendTrackingWebhookView):  # type: ignore[misc]
    """Resend signs by the Standard Webhooks specification, with older header names. The library that django-anymail
    uses for it would bring a dozen dependencies for these lines."""

    def __init__(self, secret: str) -> None:
        # Only to avoid the class's warning about a missing secret; the check is below.
        super().__init__(webhook_secret=secret)
        self._key = base64.b64decode(secret.removeprefix("whsec_"))

    def run_validators(self, request: HttpRequest) -> None:
        sent_at = int(request.headers["svix-timestamp"])
        if abs(time.time() - sent_at) > CLOCKS_DIFFER_SECONDS:
            raise Unverified
        signed = f"{request.headers['svix-id']}.{sent_at}.".encode() + request.body
        expected = b"v1," + base64.b64encode(hmac.digest(self._key, signed, "sha256"))
        given = request.headers["svix-signature"].encode().split()
        if not any(hmac.compare_digest(expected, one) for one in given):
            raise Unverified


class _MailgunView(MailgunTrackingWebhookView):  # type: ignore[misc]
    def run_validators(self, request: HttpRequest) -> None:
        super().run_validators(request)
        form = request.content_type != "application/json"
        stamp = str((request.POST if form else json.loads(request.body)["signature"])["timestamp"])
        # Time and token are signed as one string: with digits alone the time can't include the token's letters.
        if (
            not re.fullmatch(r"[0-9]{1,12}", stamp)
            or abs(time.time() - int(stamp)) > MAILGUN_TRIES_FOR_SECONDS
        ):
            raise Unverified


_VIEWS: dict[str, Callable[[str], Any]] = {
    "brevo": lambda secret: BrevoTrackingWebhookView(webhook_secret=secret),
    "mailersend": lambda secret: MailerSendTrackingWebhookView(signing_secret=secret),
    "mailgun": lambda secret: _MailgunView(webhook_signing_key=secret),
    "postmark": lambda secret: PostmarkTrackingWebhookView(webhook_secret=secret),
    "resend": _ResendView,
    "sparkpost": lambda secret: SparkPostTrackingWebhookView(webhook_secret=secret),
}

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

# django-anymail doesn't distinguish a dead address from a full mailbox; each service does, in a field of its own.
_BOUNCE_KINDS: dict[str, Callable[[Any], Any]] = {
    "brevo": lambda raw: raw.get("event"),
    "mailersend": lambda raw: raw["data"]["type"],
    "postmark": lambda raw: raw.get("Type") or raw.get("SuppressionReason"),
    "resend": lambda raw: raw["data"].get("bounce", {}).get("type"),
    "sparkpost": lambda raw: next(iter(raw["msys"].values())).get("bounce_class"),
}
_HARD = {
    "brevo": {"hard_bounce", "invalid_email"},
    "mailersend": {"hard_bounced"},
    "postmark": {"HardBounce", "BadEmailAddress"},
    "resend": {"Permanent"},
    "sparkpost": {"10", "30"},
}
_SOFT = {
    "brevo": {"soft_bounce"},
    "mailersend": {"soft_bounced"},
    "postmark": {"SoftBounce"},
    "resend": {"Transient"},
    "sparkpost": {"20", "21", "22", "23", "24", "40", "70"},
}


_RESULTS = {
    # Event types that django-anymail doesn't know: accepted, but then not sent.
    "resend": ("type", {"email.failed": Kind.BOUNCED, "email.suppressed": Kind.BOUNCED}),
    "mailersend": ("type", {"activity.suppressed": Kind.BOUNCED, "activity.deferred": Kind.DELAYED}),
}


def _tracking_events(
    service: str, events: Iterable[AnymailTrackingEvent], raw: str
) -> Iterable[TrackingEvent]:
    for event in events:
        kind = _KINDS.get(event.event_type) or _kind_of(service, event)
        if kind is None:
            continue
        if service == "postmark" and event.esp_event.get("Type") == "SpamNotification":
            # Reported by a filter, not by a person; django-anymail takes it for a complaint.
            kind = Kind.BOUNCED
        permanent = False
        if kind is Kind.BOUNCED:
            bounce_kind = str(_BOUNCE_KINDS[service](event.esp_event)) if service in _BOUNCE_KINDS else ""
            if bounce_kind in _SOFT.get(service, ()):
                kind = Kind.SOFT_BOUNCE
            else:
                permanent = _is_hard(service, bounce_kind, event)
        yield TrackingEvent(
            kind=kind,
            key=_key(service, kind, event, raw),
            delivery_id=_delivery_id(event.metadata),
            provider_message_id=str(event.message_id or "")[:MESSAGE_ID_LIMIT],
            detail=detail_of(_text_of(event)),
            permanent=permanent,
        )


def _is_hard(service: str, bounce_kind: str, event: AnymailTrackingEvent) -> bool:
    # Mailgun calls every refusal permanent; its reasons are what django-anymail has sorted.
    hard = (
        event.reject_reason == RejectReason.BOUNCED if service == "mailgun" else bounce_kind in _HARD[service]
    )
    # A refusal by policy says nothing about the address, however the service classifies it. Where no reply is quoted,
    # or none with a known meaning, the service's own classification counts.
    return hard and reported("", _text_of(event)) in GONE | {Meaning.SILENT}


def _kind_of(service: str, event: AnymailTrackingEvent) -> Kind | None:
    name, kinds = _RESULTS.get(service, ("", {}))
    return kinds.get(event.esp_event[name]) if name else None


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


def _key(service: str, kind: Kind, event: AnymailTrackingEvent, raw: str) -> str:
    if service == "mailgun":
        # The signature covers the id and not the body: with another body it is still the same event.
        return key_of(event.event_id)
    if event.event_id:
        return key_of(kind, event.event_id)
    return key_of(kind, raw)


def _delivery_id(metadata: Any) -> uuid.UUID | None:
    try:
        return uuid.UUID(metadata["delivery_id"])
    except (LookupError, TypeError, ValueError, AttributeError):
        # Another sender's message through the same account, or a service that returns no metadata.
        return None
