"""The events of email services: verified and read by django-anymail, and brought into our words here."""

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
"""Mailgun tells again for eight hours. What is older may be a signature that somebody found in a log."""


class Unverified(Exception):
    """The request was not signed by the service, or not with this account's secret."""


class NotTracking(Exception):
    """It is the service's, but for another purpose: mail that came in, not what became of ours."""


class Post(HttpRequest):
    """A request whose body has been read, with a bound, before."""

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
            # What is no form has no fields, and so no signature.
            with suppress(MultiPartParserError, SuspiciousOperation):
                self._load_post_and_files()  # type: ignore[attr-defined]
                self.POST = self._post  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Unread:
    """An event in a shape that nobody here knows. `body`: itself, as a post of its own; `fault`: what was missed."""

    body: bytes
    error: str


SIGNED_INSIDE = frozenset({"mailgun"})
"""Services whose signature is a part of the body, so that this has to be read to be verified: one event a post."""
FORMS = frozenset({"mailgun"})
"""Services that also post forms: Mailgun's older hooks."""


def verify(settings: EspSettings, post: Post) -> None:
    """Raises Unverified. Nothing of the body is parsed, but where the signature is in it."""
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
        # Beside its own failure: the library's checks take the shape of what they look at for granted.
        raise Unverified from error


def read(settings: EspSettings, post: Post) -> tuple[list[TrackingEvent], list[Unread]]:
    """What a verified post tells, and what of it can't be read; kinds that mean nothing here are neither.

    One that can't be read keeps no other. Raises NotTracking, and ValueError for what is no JSON.
    """
    view = _VIEWS[settings.service](settings.webhook)
    # A form is one event, and read by the library as it is.
    events = [None] if post.form else event_shapes.split(post.body)
    told: list[TrackingEvent] = []
    unread: list[Unread] = []
    inbound = 0
    for event in events:
        try:
            told += _read_one(settings.service, view, post, event)
        except AnymailConfigurationError:
            inbound += 1
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            # The library takes the shape of what it reads for granted, and may fail in any way.
            body = post.body if post.form else json.dumps(event, ensure_ascii=False).encode()
            unread.append(Unread(body, f"{type(error).__name__}: {error}"[:DETAIL_LIMIT]))
    if inbound and inbound == len(events):
        raise NotTracking
    return told, unread


def _read_one(service: str, view: Any, post: Post, event: Any) -> list[TrackingEvent]:
    if post.form:
        return list(_told(service, view.parse_events(post), ""))
    shaped = event_shapes.of_a_message(service, event)
    if shaped is None:
        return []
    body = json.dumps([shaped] if service == "sparkpost" else shaped).encode()
    # Sorted: the same event may come with its fields in another order.
    raw = json.dumps(event, sort_keys=True)
    return list(_told(service, view.parse_events(Post(post.META, body)), raw))


class _ResendView(ResendTrackingWebhookView):  # type: ignore[misc]
    """Resend signs as Standard Webhooks have it, under older names. The library for it that django-anymail
    wants would bring a dozen packages along for these lines."""

    def __init__(self, secret: str) -> None:
        # Only so that the class doesn't warn of having none; the check is below.
        super().__init__(webhook_secret=secret)
        self._key = base64.b64decode(secret.removeprefix("whsec_"))

    def run_validators(self, request: HttpRequest) -> None:
        sent_at = int(request.headers["svix-timestamp"])
        if abs(time.time() - sent_at) > CLOCKS_DIFFER_SECONDS:
            raise Unverified
        signed = f"{request.headers['svix-id']}.{sent_at}.".encode() + request.body
        wanted = b"v1," + base64.b64encode(hmac.digest(self._key, signed, "sha256"))
        given = request.headers["svix-signature"].encode().split()
        if not any(hmac.compare_digest(wanted, one) for one in given):
            raise Unverified


class _MailgunView(MailgunTrackingWebhookView):  # type: ignore[misc]
    def run_validators(self, request: HttpRequest) -> None:
        super().run_validators(request)
        form = request.content_type != "application/json"
        stamp = str((request.POST if form else json.loads(request.body)["signature"])["timestamp"])
        # Time and token are signed as one text: digits alone can't borrow the token's first letters.
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
    # Taken by the service: what `sent` means here.
    EventType.QUEUED: Kind.SENT,
    EventType.SENT: Kind.SENT,
    EventType.DELIVERED: Kind.DELIVERED,
    EventType.BOUNCED: Kind.BOUNCED,
    # Taken, and then not sent after all.
    EventType.REJECTED: Kind.BOUNCED,
    EventType.FAILED: Kind.BOUNCED,
    EventType.DEFERRED: Kind.DELAYED,
    EventType.COMPLAINED: Kind.COMPLAINED,
    EventType.OPENED: Kind.OPENED,
    EventType.CLICKED: Kind.CLICKED,
}

# django-anymail doesn't tell a dead address from a full mailbox; each service does, in words of its own.
_WORDS: dict[str, Callable[[Any], Any]] = {
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
    # Kinds that django-anymail doesn't know: taken, and then not sent after all.
    "resend": ("type", {"email.failed": Kind.BOUNCED, "email.suppressed": Kind.BOUNCED}),
    "mailersend": ("type", {"activity.suppressed": Kind.BOUNCED, "activity.deferred": Kind.DELAYED}),
}


def _told(service: str, events: Iterable[AnymailTrackingEvent], raw: str) -> Iterable[TrackingEvent]:
    for event in events:
        kind = _KINDS.get(event.event_type) or _kind_of(service, event)
        if kind is None:
            continue
        if service == "postmark" and event.esp_event.get("Type") == "SpamNotification":
            # A filter's word, and no person's; django-anymail takes it for a complaint.
            kind = Kind.BOUNCED
        permanent = False
        if kind is Kind.BOUNCED:
            word = str(_WORDS[service](event.esp_event)) if service in _WORDS else ""
            if word in _SOFT.get(service, ()):
                kind = Kind.SOFT_BOUNCE
            else:
                permanent = _is_hard(service, word, event)
        yield TrackingEvent(
            kind=kind,
            key=_key(service, kind, event, raw),
            delivery_id=_delivery_id(event.metadata),
            provider_message_id=str(event.message_id or "")[:MESSAGE_ID_LIMIT],
            detail=detail_of(_words(event)),
            permanent=permanent,
        )


def _is_hard(service: str, word: str, event: AnymailTrackingEvent) -> bool:
    # Mailgun calls every refusal permanent; its reasons are what django-anymail has sorted.
    hard = event.reject_reason == RejectReason.BOUNCED if service == "mailgun" else word in _HARD[service]
    # A server that refuses for its policy has said nothing of the address, whatever the service makes of it. Where
    # nothing is quoted, or nothing that says anything, the service's own word counts.
    return hard and reported("", _words(event)) in GONE | {Meaning.SILENT}


def _kind_of(service: str, event: AnymailTrackingEvent) -> Kind | None:
    name, kinds = _RESULTS.get(service, ("", {}))
    return kinds.get(event.esp_event[name]) if name else None


def _words(event: AnymailTrackingEvent) -> str:
    words = event.mta_response or event.description
    if (
        not words
        and isinstance(event.esp_event, dict)
        and isinstance(data := event.esp_event.get("data"), dict)
    ):
        failed = data.get("failed") or data.get("suppressed")
        words = failed.get("reason") or failed.get("message") if isinstance(failed, dict) else ""
    return str(words or "")


def _key(service: str, kind: Kind, event: AnymailTrackingEvent, raw: str) -> str:
    if service == "mailgun":
        # The id is what its signature is of, and the body is not: with another body it is no second event.
        return key_of(event.event_id)
    if event.event_id:
        return key_of(kind, event.event_id)
    return key_of(kind, raw)


def _delivery_id(metadata: Any) -> uuid.UUID | None:
    try:
        return uuid.UUID(metadata["delivery_id"])
    except (LookupError, TypeError, ValueError, AttributeError):
        # A message of somebody else's through the same account, or a service that gives nothing back.
        return None
