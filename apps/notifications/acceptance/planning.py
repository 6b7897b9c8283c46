"""Planning a request: template version, channels, recipients, language, eligibility. Stores nothing."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from apps.notifications.acceptance.lookups import Lookups
from apps.notifications.acceptance.request import NotificationRequest
from apps.notifications.errors import Invalid
from apps.notifications.models import DELIVERIES, Delivery, EmailLog, Notification, PushLog
from apps.notifications.models.statuses import Status
from apps.notifications.transitions import eligibility
from apps.templates import credentials
from apps.templates.authoring.versions import content_for
from apps.templates.models import TemplateContent, TemplateVersion
from apps.templates.rendering import rendering
from apps.users.access.authentication import Caller
from apps.users.channels import Channel
from apps.users.models import User
from apps.users.recipient_hashes import recipient_hash

ERRORS_SHOWN = 50
"""At most so many variables are named in the answer to one request: a batch has a thousand requests."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a request: the rows to store, unsaved, and by channel the content as a person would read it."""

    notification: Notification
    deliveries: list[Delivery]
    decisions: list[dict[str, Any]]
    rendered: dict[str, dict[str, Any]]
    version: TemplateVersion


def plan(*, caller: Caller, request: NotificationRequest, body_hash: str, known: Lookups) -> Plan:
    """Decide everything about a request from what `known` holds, without storing anything. Raises Invalid."""
    organization = caller.organization
    version = _version(known, request.template_code, caller)
    user = _user(known, request.user_id)
    # A person's preferences hold however the request addresses them.
    person = user or known.person_at(request)
    contents = known.contents[version.pk]
    channels = _channels(request, contents)
    _check_times(request)
    variables = _variables(version, request.variables)

    notification = Notification(
        organization=organization,
        request_id=request.request_id,
        body_hash=body_hash,
        user=person,
        template_version=version,
        variables=variables,
        metadata=dict(request.metadata),
        priority=request.priority,
        live=caller.live,
        for_user=user is not None,
        scheduled_at=request.scheduled_at,
        expires_at=request.expires_at,
        correlation_id=request.correlation_id,
        requested_by=caller.name,
        callback_url=request.callback_url,
    )
    language = request.language or (person.language if person else "") or organization.default_language
    deliveries: list[Delivery] = []
    rendered: dict[str, dict[str, Any]] = {}
    fell_back: set[str] = set()
    for channel in channels:
        content = content_for(contents, channel, language, organization.default_language)
        if content is None:
            raise Invalid.at(
                "language", "no_content",
                f"Template {request.template_code} has {channel} content in several languages, but neither in "
                f"{language} nor in {organization.default_language}.",
            )  # fmt: skip
        try:
            rendered[channel] = _rendered(content, variables, organization.pk)
        except Invalid:
            if (found := _fallback(known, version, content, variables)) is None:
                raise
            rendered[channel] = found
            fell_back.add(channel)
        for recipient in _recipients(channel, request, user, known) or [{}]:
            deliveries.append(_delivery(notification, channel, content.language, recipient))
    category = version.template.category
    decisions = []
    for row in deliveries:
        # An address and a device token in one request may belong to two people.
        facts = known.facts(user or known.owners.get(row.recipient_hash), category)
        fallback = {"fallback": True} if row.channel in fell_back else {}
        decisions.append({**_decide(row, facts, known), **fallback})
    return Plan(notification, deliveries, decisions, rendered, version)


def _version(known: Lookups, code: str, caller: Caller) -> TemplateVersion:
    if code in credentials.CODES and not caller.is_system:
        # A caller who could send it with a link of their own would pose as Notifier.
        raise Invalid.at(
            "template_code", "reserved", "Notifier alone sends this template: it carries a credential."
        )
    template = known.templates.get(code)
    if template is None:
        raise Invalid.at("template_code", "not_found", "There is no template with this code.")
    if template.active_version is None:
        raise Invalid.at("template_code", "no_active_version", "This template has no active version yet.")
    return template.active_version


def _user(known: Lookups, user_id: uuid.UUID | None) -> User | None:
    if user_id is None:
        return None
    user = known.users.get(user_id)
    if user is None:
        raise Invalid.at("user_id", "not_found", "There is no user with this id.")
    return user


def _channels(request: NotificationRequest, contents: list[TemplateContent]) -> list[str]:
    available = [channel for channel in Channel.values if any(row.channel == channel for row in contents)]
    for channel in request.channels:
        if channel not in available:
            raise Invalid.at("channels", "no_content", f"The template has no content for {channel}.")
    return [channel for channel in available if not request.channels or channel in request.channels]


SCHEDULE_LIMIT = timedelta(days=366)
LATE_LIMIT = timedelta(minutes=5)
"""A caller's clock and network may account for so much; a time longer ago is a mistake."""
ENDED = {eligibility.Action.SKIP: Status.SKIPPED, eligibility.Action.EXPIRE: Status.EXPIRED}


def _check_times(request: NotificationRequest) -> None:
    now = timezone.now()
    if request.scheduled_at is not None and request.scheduled_at > now + SCHEDULE_LIMIT:
        raise Invalid.at("scheduled_at", "too_far", "Schedule at most a year ahead.")
    if request.scheduled_at is not None and request.scheduled_at < now - LATE_LIMIT:
        raise Invalid.at("scheduled_at", "in_the_past", "This is past already; leave it out to send at once.")
    begins = max(now, request.scheduled_at or now)
    if request.expires_at is not None and request.expires_at <= begins:
        raise Invalid.at("expires_at", "in_the_past", "Expire after now and after scheduled_at.")


def _variables(version: TemplateVersion, given: Mapping[str, Any]) -> dict[str, Any]:
    """The variables to render with: the request's, and the defaults that the version declares. Raises Invalid."""
    variables, errors = version.ready(given)
    if not errors:
        return variables
    fields = [
        {"field": f"variables.{error.field}", "code": error.code, "detail": error.detail}
        for error in errors[:ERRORS_SHOWN]
    ]
    absent = [error.field for error in errors[:ERRORS_SHOWN] if error.code == "required"]
    if len(absent) < len(fields):
        raise Invalid.of(fields)
    raise Invalid(f"The template needs variables that are missing: {', '.join(absent)}.", fields=fields)


def _rendered(
    content: TemplateContent, variables: Mapping[str, Any], organization: uuid.UUID
) -> dict[str, Any]:
    """Render on acceptance: an error is the caller's 400 now, not a worker's failure later. Raises Invalid."""
    try:
        text = rendering.render_for(organization, content.source, variables)
    except rendering.RenderError as error:
        raise Invalid.at("variables", error.code, f"{content.channel} {error.field}: {error}") from error
    return {"language": content.language, **asdict(text)}


def _fallback(
    known: Lookups, version: TemplateVersion, content: TemplateContent, variables: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The fallback version's content, rendered instead of one that can't be; None without one, or if it fails too."""
    fallback = version.template.fallback_version
    if fallback is None or fallback == version:
        return None
    default = known.organization.default_language
    instead = content_for(known.contents[fallback.pk], content.channel, content.language, default)
    if instead is None:
        return None
    ready, _ = fallback.ready(variables)
    try:
        return _rendered(instead, ready, known.organization.pk)
    except Invalid:
        return None


def _recipients(
    channel: str, request: NotificationRequest, user: User | None, known: Lookups
) -> list[dict[str, Any]]:
    if channel == Channel.EMAIL:
        address = user.email if user else request.email
        return [{"email": address}] if address else []
    if user is None:
        return [{"token": request.device_token}] if request.device_token else []
    # There may be more than the limit, from before it existed: take those registered last.
    devices = known.devices.get(user.pk, [])[-settings.DEVICES_A_PERSON :]
    return [{"token": device.token, "device": device} for device in devices]


def _delivery(
    notification: Notification, channel: str, language: str, recipient: dict[str, Any]
) -> EmailLog | PushLog:
    row = DELIVERIES[channel](
        notification=notification,
        organization=notification.organization,
        language=language,
        priority=notification.priority,
        **recipient,
    )
    begins = max(timezone.now(), notification.scheduled_at or timezone.now())
    if notification.scheduled_at is not None:
        row.due_at = notification.scheduled_at
        row.due_later = begins > timezone.now()
    row.deadline_at = begins + row.retried_for()
    row.recipient_hash = recipient_hash(channel, row.recipient) if row.recipient else ""
    return row


def _decide(row: Delivery, facts: eligibility.Facts, known: Lookups) -> dict[str, Any]:
    """Set the row's first status; what may not be sent is stored as `skipped` with its reason, not dropped."""
    now = timezone.now()
    decision = _decision(row, facts, known, now)
    if decision.action in ENDED:
        row.status = ENDED[decision.action]
        row.reason = decision.reason
        row.finished_at = now
    elif decision.until is not None:
        row.due_at, row.due_later = decision.until, True
        row.deadline_at += decision.until - now
    return {
        "delivery_id": str(row.pk),
        "channel": str(row.channel),
        "recipient": row.masked_recipient,
        "language": row.language,
        "decision": str(decision.action),
        **({"reason": decision.reason} if decision.reason else {}),
        **({"until": decision.until.isoformat()} if decision.until else {}),
    }


def _decision(row: Delivery, facts: eligibility.Facts, known: Lookups, now: datetime) -> eligibility.Decision:
    if not row.recipient_hash:
        return eligibility.Decision(eligibility.Action.SKIP, eligibility.NO_CONTACT)
    if row.notification.scheduled_at is not None:
        # Decided when it is due. Without a contact there is nothing to wait for.
        return eligibility.SEND
    decision = facts.decide(
        row.channel,
        row.recipient_hash,
        now=now,
        expires_at=row.notification.expires_at,
        counted=lambda category: known.counted[category.pk, row.channel, row.recipient_hash],
    )
    if decision == eligibility.SEND and facts.category is not None:
        # The other requests of this batch count this message against the cap.
        known.counted[facts.category.pk, row.channel, row.recipient_hash] += 1
    return decision
