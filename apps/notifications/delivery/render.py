"""Rendering one delivery: its pinned template version, or the template's fallback version, for one person."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from django.db.models import F

from apps.notifications.channels.message import Message
from apps.notifications.models import Event
from apps.notifications.models.deliveries import ClaimedDelivery
from apps.notifications.transitions import timeline
from apps.templates.authoring import weights
from apps.templates.authoring.versions import content_for
from apps.templates.models import TemplateContent, TemplateVersion
from apps.templates.rendering import rendering
from notifier.channels.registry import CODES
from notifier.lib.bounded_cache import BoundedCache

SOURCES_LIMIT = 32 * 1024 * 1024
"""Bytes, roughly, of all template sources that a process caches."""


def _rendered(
    delivery: ClaimedDelivery, version_id: Any, variables: Mapping[str, Any], page: str
) -> dict[str, Any]:
    """The text of each part for this person. Raises RenderError."""
    source = _source(version_id, delivery.channel, delivery.language, delivery.default_language)
    if source is None:
        raise rendering.RenderError(
            f"The version has no {delivery.channel} content in {delivery.language}.", "language"
        )
    # A variable of the same name from the caller overrides it.
    return rendering.render(source, {"unsubscribe_url": page or None, **variables})


def _read_source(
    version_id: Any, channel: str, language: str, default: str
) -> tuple[rendering.Source | None, int]:
    content = content_for(TemplateContent.objects.filter(version=version_id), channel, language, default)
    return (content.source, weights.of_content(content)) if content else (None, 0)


_source = BoundedCache(_read_source, most=SOURCES_LIMIT)
"""Cache of a version's sources for a language: neither a version nor its contents ever change."""


def _fallback(delivery: ClaimedDelivery, page: str, error: rendering.RenderError) -> dict[str, Any]:
    """The text by the template's fallback version, where the pinned one can't be rendered, which is `error`.

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


_CHANNELS: Mapping[str, Any] = {
    code: import_module(f"apps.notifications.channels.{code}.render") for code in CODES
}
"""By channel: the module that makes its messages."""


def render(delivery: ClaimedDelivery) -> Message:
    """The message for this person, ready for a provider. Raises RenderError."""
    channel = _CHANNELS[delivery.channel]
    page = channel.unsubscribe_page(delivery)
    try:
        text = _rendered(delivery, delivery.version_id, delivery.variables, page)
    except rendering.RenderError as error:
        text = _fallback(delivery, page, error)
    message: Message = channel.message_of(delivery, text, page)
    return message
