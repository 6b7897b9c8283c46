"""Planning requests: what they need to know is read in a handful of queries for one or a thousand, and then template
version, channels, recipients, language and eligibility are decided for each. Stores nothing."""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from django.conf import settings
from django.utils import timezone

from apps.notifications.acceptance.request import NotificationRequest
from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.errors import Invalid
from apps.notifications.models import Delivery, Notification, Suppression
from apps.notifications.models.statuses import Status
from apps.notifications.transitions import eligibility
from apps.notifications.transitions.eligibility import Facts
from apps.templates import credentials
from apps.templates.authoring import weights
from apps.templates.authoring.versions import content_for
from apps.templates.declarations import VariableError
from apps.templates.models import Template, TemplateContent, TemplateVersion
from apps.templates.rendering import rendering
from apps.users.access.authentication import Caller
from apps.users.models import Category, Device, Organization, User
from apps.users.preferences.opt_outs import Choices
from apps.users.preferences.recipients import read_people
from apps.users.recipient_hashes import former_hashes, recipient_hash
from notifier.channels.registry import CHANNELS, PERSON_COLUMNS
from notifier.lib.bounded_cache import BoundedCache
from notifier.lib.database import storage
from notifier.lib.database.sql import read

UNREAD_COLUMNS = (
    "variables",
    "metadata",
    *(f"template_version__{name}" for name in ("required", "optional", "variables", "warnings", "pinned")),
)
"""Not read of earlier notifications: a batch may name a thousand of them, and these columns may be large."""
VERSIONS_LIMIT = 64 * 1024 * 1024
"""Bytes, roughly, of all template versions that a process caches."""


@dataclass(slots=True)
class Lookups:
    """What was found, by the keys that requests use. What isn't in here doesn't exist for the organization."""

    organization: Organization
    templates: dict[str, Template] = field(default_factory=dict)
    contents: dict[uuid.UUID, list[TemplateContent]] = field(default_factory=dict)
    users: dict[uuid.UUID, User] = field(default_factory=dict)
    owners: dict[str, User] = field(default_factory=dict)
    """By the hash of a bare address or device token: the person whom it belongs to."""
    devices: dict[uuid.UUID, list[Device]] = field(default_factory=dict)
    choices: dict[uuid.UUID, Choices] = field(default_factory=dict)
    suppressed: frozenset[tuple[str, str]] = frozenset()
    counted: Counter[tuple[uuid.UUID, str, str]] = field(default_factory=Counter)
    """By (category, channel, recipient's hash), where the category has a cap: how many messages they got lately."""
    earlier: dict[str, Notification] = field(default_factory=dict)
    """By request_id: the notification that an earlier request with it made."""

    def person_at(self, request: NotificationRequest) -> User | None:
        """The person whom the first of the request's addresses belongs to that belongs to anybody."""
        for channel, recipient in request.recipients.items():
            if person := self.owners.get(recipient_hash(channel, recipient)):
                return person
        return None

    def facts(self, user: User | None, category: Category | None) -> Facts:
        """What the eligibility policy looks at for this person and category."""
        return Facts(
            organization_active=self.organization.is_active,
            user=user,
            choices=self.choices.get(user.pk, {}) if user else {},
            category=category,
            suppressed=self.suppressed,
        )


def gather(organization: Organization, requests: Iterable[NotificationRequest], *, live: bool) -> Lookups:
    """Read what planning these requests needs. `live`: False for a test key's requests."""
    requests = list(requests)
    found = Lookups(organization)
    user_ids = {request.user_id for request in requests if request.user_id is not None}
    named = {pair for request in requests for pair in request.recipients.items()}
    if user_ids or named:
        _find_people(found, user_ids, named)
    named.update(pair for user in found.users.values() for pair in _own_addresses(user))
    hashes = [recipient_hash(channel, address) for channel, address in named]
    hashes += [device.token_hash for devices in found.devices.values() for device in devices]
    former = {
        (channel, was): address for channel, address in named for was in former_hashes(channel, address)
    }
    request_ids = {request.request_id for request in requests if request.request_id is not None}
    templates, found.suppressed, has_earlier = _look_up(
        organization,
        {request.template_code for request in requests},
        [*hashes, *(was for _, was in former)],
        request_ids,
        live=live,
    )
    if former.keys() & found.suppressed:
        found.suppressed = found.suppressed.union(_recognised(found, former))
    for template in templates:
        _with_versions(found, template)
    if has_earlier:
        rows = Notification.objects.select_related("template_version__template").defer(*UNREAD_COLUMNS)
        for row in rows.filter(organization=organization, live=live, request_id__in=request_ids):
            found.earlier[str(row.request_id)] = row
    for category in {template.category for template in found.templates.values()}:
        if category is not None and category.cap is not None and not category.mandatory:
            for (channel, recipient), count in eligibility.counts(category, hashes, live=live).items():
                found.counted[category.pk, channel, recipient] = count
    return found


# One statement for everything that each request needs: three would cost three times as much.
_LOOK_UP = """
SELECT
  ARRAY(
    SELECT channel || ' ' || recipient_hash FROM notifications_suppression
    WHERE organization_id = %(organization)s AND recipient_hash = ANY(%(hashes)s) AND lifted_at IS NULL
  ),
  EXISTS (
    SELECT FROM notifications_notification
    WHERE organization_id = %(organization)s AND live = %(live)s AND request_id = ANY(%(request_ids)s)
  ),
  {0}, {1}
FROM (SELECT) AS always
LEFT JOIN templates_template AS t0
  ON t0.organization_id = %(organization)s AND t0.code = ANY(%(codes)s) AND t0.archived_at IS NULL
LEFT JOIN users_category AS t1 ON t1.id = t0.category_id
"""


@storage.operation
def _look_up(
    organization: Organization, codes: set[str], hashes: list[str], request_ids: set[str], *, live: bool
) -> tuple[list[Template], frozenset[tuple[str, str]], bool]:
    """The templates with their categories, the suppressed recipients, and whether any request_id was used before."""
    values = {
        "organization": organization.pk,
        "codes": list(codes),
        "hashes": hashes,
        "request_ids": list(request_ids),
        "live": live,
    }
    found = read(_LOOK_UP, (Template, Category), values)
    for _, _, template, category in found:
        if template is not None:
            template.category = category
    suppressed, has_earlier = found[0][:2]
    return (
        [template for _, _, template, _ in found if template is not None],
        frozenset((channel, recipient) for channel, recipient in map(str.split, suppressed)),
        has_earlier,
    )


@_look_up.portable
def _look_up_portably(
    organization: Organization, codes: set[str], hashes: list[str], request_ids: set[str], *, live: bool
) -> tuple[list[Template], frozenset[tuple[str, str]], bool]:
    rows = Suppression.objects.active().filter(organization=organization, recipient_hash__in=hashes)
    templates = Template.objects.usable().select_related("category")
    return (
        list(templates.filter(organization=organization, code__in=codes)),
        frozenset(rows.values_list("channel", "recipient_hash")),
        bool(request_ids),
    )


def _own_addresses(user: User) -> Iterator[tuple[str, str]]:
    """By channel: the addresses that the person has, but for those of devices."""
    for channel, column in PERSON_COLUMNS.items():
        if address := getattr(user, column):
            yield channel, address


def _recognised(found: Lookups, former: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, str]]:
    """Suppressions under an earlier release's hash, as today's hash. An erased person's address is not stored, so the
    new hash can be made only now that a request names the address; the row is updated, so that a sender finds it
    as well."""
    for channel, was in found.suppressed:
        if (channel, was) in former:
            now = recipient_hash(channel, former[channel, was])
            rows = Suppression.objects.active().filter(organization=found.organization, channel=channel)
            if not rows.filter(recipient_hash=now).exists():
                rows.filter(recipient_hash=was).update(recipient_hash=now)
            yield channel, now


def _with_versions(found: Lookups, template: Template) -> None:
    """Set the template's versions. Which version is in use is read each time; a version's content never changes and
    is cached."""
    for pk in (template.active_version_id, template.fallback_version_id):
        if pk is not None:
            version, found.contents[pk] = _versions(pk)
            # A copy, since its template object belongs to this request.
            version = copy(version)
            version.template = template
            if pk == template.active_version_id:
                template.active_version = version
            if pk == template.fallback_version_id:
                template.fallback_version = version
    found.templates[template.code] = template


def _read_version(pk: uuid.UUID) -> tuple[tuple[TemplateVersion, list[TemplateContent]], int]:
    version, contents = TemplateVersion.objects.get(pk=pk), list(TemplateContent.objects.filter(version=pk))
    return (version, contents), weights.of_version(version) + sum(map(weights.of_content, contents))


_versions = BoundedCache(_read_version, most=VERSIONS_LIMIT)
"""Cache of versions and their contents: neither ever changes, so a process reads them once."""


def _find_people(found: Lookups, ids: set[uuid.UUID], named: set[tuple[str, str]]) -> None:
    """The people with these ids, and the owners of the addresses and device tokens: (channel, address)."""
    addresses: dict[str, list[str]] = {column: [] for column in PERSON_COLUMNS.values()}
    hashes: list[str] = []
    for channel, address in named:
        if column := PERSON_COLUMNS.get(channel):
            addresses[column] += CHANNELS[channel].address.folded(address)
        else:
            hashes.append(recipient_hash(channel, address))
    found.users, found.devices, found.choices = read_people(found.organization, ids, addresses, hashes)
    if not named:
        return
    # Of several people with one address, which only some channels allow, the one who was registered first counts.
    for user in sorted(found.users.values(), key=attrgetter("pk"), reverse=True):
        for channel, address in _own_addresses(user):
            found.owners[recipient_hash(channel, address)] = user
        for device in found.devices.get(user.pk, []):
            found.owners[device.token_hash] = user


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
            rendered[channel] = _rendered(version, content, variables, organization.pk)
        except rendering.RenderError as error:
            if needed := version.missed(variables, error.missing):
                raise _refusal(needed) from error
            if (found := _fallback(known, version, content, variables)) is None:
                raise Invalid.at("variables", error.code, f"{channel} {error.field}: {error}") from error
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
    available = [channel for channel in CHANNELS if any(row.channel == channel for row in contents)]
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
    if errors:
        raise _refusal(errors)
    return variables


def _refusal(errors: Sequence[VariableError]) -> Invalid:
    fields = [
        {"field": f"variables.{error.field}", "code": error.code, "detail": error.detail}
        for error in errors[:ERRORS_SHOWN]
    ]
    absent = [error.field for error in errors[:ERRORS_SHOWN] if error.code == "required"]
    if len(absent) < len(fields):
        return Invalid.of(fields)
    return Invalid(f"The template needs variables that are missing: {', '.join(absent)}.", fields=fields)


def _rendered(
    version: TemplateVersion, content: TemplateContent, variables: Mapping[str, Any], organization: uuid.UUID
) -> dict[str, Any]:
    """Render on acceptance: an error is the caller's 400 now, not a worker's failure later. Raises RenderError."""
    source = content.source
    text = rendering.render_for(organization, source, variables)
    if settings.PUBLIC_URL and version.has_conditional_fields and rendering.uses_provided(source):
        # The sender provides what is nil here; a condition on it may show what it has hidden now.
        provided = dict.fromkeys(rendering.PROVIDED, settings.PUBLIC_URL)
        rendering.render_for(organization, source, {**provided, **variables})
    return {"language": content.language, **rendering.shown(content.declared, text)}


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
        return _rendered(fallback, instead, ready, known.organization.pk)
    except rendering.RenderError:
        return None


def _recipients(
    channel: str, request: NotificationRequest, user: User | None, known: Lookups
) -> list[dict[str, Any]]:
    """By the columns of the channel's log: whom the delivery is to, once for each."""
    to, column = DELIVERIES[channel].RECIPIENT, PERSON_COLUMNS.get(channel)
    if user is not None and column is None:
        # There may be more than the limit, from before it existed: take those registered last.
        devices = known.devices.get(user.pk, [])[-settings.DEVICES_A_PERSON :]
        return [{to: device.token, "device": device} for device in devices]
    address = request.recipients.get(channel) if user is None else getattr(user, column or "")
    return [{to: address}] if address else []


def _delivery(notification: Notification, channel: str, language: str, recipient: dict[str, Any]) -> Delivery:
    row: Delivery = DELIVERIES[channel](
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
    row.deadline_at = begins + timedelta(seconds=row.retried_for())
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
