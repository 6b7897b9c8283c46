"""Rendering one delivery: its pinned template version, or the template's fallback version, for one person."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db.models import F

from apps.notifications.channels.email.headers import headers_for, return_path
from apps.notifications.channels.outcome import EmailMessage, PushMessage
from apps.notifications.models import Event
from apps.notifications.transitions import timeline
from apps.notifications.transitions.attempts import ClaimedDelivery
from apps.templates.authoring import weights
from apps.templates.authoring.versions import content_for
from apps.templates.models import TemplateContent, TemplateVersion
from apps.templates.rendering import rendering
from apps.templates.rendering.rendering import EmailContent, PushContent
from apps.users.channels import Channel
from apps.users.preferences import links
from apps.users.recipient_hashes import recipient_hash
from notifier.lib.bounded_cache import BoundedCache
from notifier.lib.email_addresses import sender

SOURCES_LIMIT = 32 * 1024 * 1024
"""Bytes, roughly, of all template sources that a process caches."""


def _rendered(
    delivery: ClaimedDelivery, version_id: Any, variables: Mapping[str, Any], page: str
) -> EmailContent | PushContent:
    """The version's content for this person. Raises RenderError."""
    source = _source(version_id, delivery.channel, delivery.language, delivery.default_language)
    if source is None:
        raise rendering.RenderError(
            f"The version has no {delivery.channel} content in {delivery.language}.", "language"
        )
    # A variable of the same name from the caller overrides it.
    return rendering.render(source, {"unsubscribe_url": page or None, **variables})


def _read_source(
    version_id: Any, channel: str, language: str, default: str
) -> tuple[EmailContent | PushContent | None, int]:
    content = content_for(TemplateContent.objects.filter(version=version_id), channel, language, default)
    return (content.source, weights.of_content(content)) if content else (None, 0)


_source = BoundedCache(_read_source, most=SOURCES_LIMIT)
"""Cache of a version's sources for a language: neither a version nor its contents ever change."""


def _page(delivery: ClaimedDelivery) -> str:
    """URL of the recipient's preference page; empty if there is none."""
    if delivery.user_id:
        return links.page_for(delivery.user_id, delivery.category_id)
    # An address without a person has no preferences, but can unsubscribe from what isn't mandatory. A device can't.
    if delivery.channel != Channel.EMAIL or delivery.category_id is None or delivery.mandatory:
        return ""
    hashed = recipient_hash(Channel.EMAIL, delivery.recipient)
    return links.page_for_address(delivery.organization_id, delivery.category_id, hashed)


def _fallback(
    delivery: ClaimedDelivery, page: str, error: rendering.RenderError
) -> EmailContent | PushContent:
    """The content of the template's fallback version, where the pinned one can't be rendered, which is `error`.

    It is noted in the timeline once an attempt, however often that is deferred. Raises RenderError.
    """
    fallback = TemplateVersion.objects.filter(
        template__versions=delivery.version_id, pk=F("template__fallback_version")
    )
    instead = fallback.exclude(pk=delivery.version_id).first()
    if instead is None:
        raise error
    # The defaults of the pinned version were filled in on acceptance.
    variables, _ = instead.ready(delivery.variables)
    try:
        text = _rendered(delivery, instead.pk, variables, page)
    except rendering.RenderError as second:
        raise error from second
    known = Event.objects.filter(
        notification=delivery.notification_id,
        delivery_id=delivery.pk,
        kind=timeline.FALLBACK,
        data__epoch=delivery.epoch,
        data__attempt=delivery.attempts + 1,
    )
    if not known.exists():
        detail = f"{error.field}: {error}"[:500]
        timeline.note(
            delivery,
            timeline.FALLBACK,
            code="render_failed",
            detail=detail,
            version=instead.number,
            epoch=delivery.epoch,
            attempt=delivery.attempts + 1,
        )
    return text


def render(delivery: ClaimedDelivery) -> EmailMessage | PushMessage:
    """The message for this person, ready for a provider. Raises RenderError."""
    page = _page(delivery)
    try:
        text = _rendered(delivery, delivery.version_id, delivery.variables, page)
    except rendering.RenderError as error:
        text = _fallback(delivery, page, error)
    if isinstance(text, EmailContent):
        return EmailMessage(
            # The same for every attempt of a delivery: a mailbox that gets two copies shows one.
            message_id=f"<{delivery.pk}@{sender(settings.EMAIL_FROM).domain}>",
            sender=settings.EMAIL_FROM,
            to=delivery.recipient,
            subject=text.subject,
            html=text.html,
            text=text.text,
            headers=headers_for(
                category=delivery.category_code,
                organization=delivery.organization_slug,
                unsubscribe_page="" if delivery.mandatory else page,
            ),
            attempt=delivery.attempts + 1,
            return_path=return_path(delivery.pk),
        )
    assert isinstance(text, PushContent)  # noqa: S101 - the two contents there are
    return PushMessage(
        delivery_id=str(delivery.pk),
        token=delivery.recipient,
        title=text.title,
        body=text.body,
        image=text.image,
        link=text.link,
        data={
            **text.data,
            # The same for every attempt: by this alone an app recognizes a message that it has had.
            "notification_id": str(delivery.notification_id),
        },
        expires_at=delivery.expires_at,
        attempt=delivery.attempts + 1,
    )
