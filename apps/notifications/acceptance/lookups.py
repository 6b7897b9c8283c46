"""Everything that planning requests needs to know, read in a handful of queries for one request or a thousand."""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q
from django.db.models.functions import Lower

from apps.notifications.acceptance.request import NotificationRequest
from apps.notifications.models import Notification, Suppression
from apps.notifications.transitions import eligibility
from apps.notifications.transitions.eligibility import Facts
from apps.templates.authoring import weights
from apps.templates.models import Template, TemplateContent, TemplateVersion
from apps.users.channels import Channel
from apps.users.models import Category, Device, Organization, User
from apps.users.preferences.opt_outs import Choices, choices_of_all
from apps.users.recipient_hashes import former_hashes, recipient_hash
from notifier.lib.bounded_cache import BoundedCache
from notifier.lib.database import storage
from notifier.lib.database.sql import read
from notifier.lib.email_addresses import folded

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
        """The person whom the request's address belongs to, or else its device token."""
        named = ((Channel.EMAIL, request.email), (Channel.PUSH, request.device_token))
        for channel, recipient in named:
            if recipient and (person := self.owners.get(recipient_hash(channel, recipient))):
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
    addresses = {request.email for request in requests if request.email}
    tokens = {request.device_token for request in requests if request.device_token}
    if user_ids or addresses or tokens:
        _gather_people(found, user_ids, addresses, tokens)
    addresses.update(user.email for user in found.users.values())
    hashes = [recipient_hash(Channel.EMAIL, address) for address in addresses]
    hashes += [recipient_hash(Channel.PUSH, token) for token in tokens]
    hashes += [device.token_hash for devices in found.devices.values() for device in devices]
    former = {was: address for address in addresses for was in former_hashes(address)}
    request_ids = {request.request_id for request in requests if request.request_id is not None}
    templates, found.suppressed, has_earlier = _look_up(
        organization,
        {request.template_code for request in requests},
        [*hashes, *former],
        request_ids,
        live=live,
    )
    if former.keys() & {recipient for _, recipient in found.suppressed}:
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
_PEOPLE = """
SELECT
  ARRAY(
    SELECT coalesce(category_id::text, '') || ' ' || channel || ' ' || enabled::int
    FROM users_notificationpreference WHERE user_id = t0.id
  ),
  {0}, {1}
FROM users_user AS t0
LEFT JOIN users_device AS t1 ON t1.user_id = t0.id AND t1.retired_at IS NULL
WHERE t0.organization_id = %(organization)s AND t0.id = ANY({owners}) AND t0.erased_at IS NULL
ORDER BY t1.id
"""
_BY_ID = "%(ids)s"
_BY_CONTACT = """
  %(ids)s::uuid[] || ARRAY(
    SELECT id FROM users_user WHERE organization_id = %(organization)s
      AND lower(email) = ANY(ARRAY(SELECT lower(form) FROM unnest(%(addresses)s::text[]) AS form))
  ) || ARRAY(
    SELECT user_id FROM users_device
    WHERE organization_id = %(organization)s AND token_hash = ANY(%(tokens)s) AND retired_at IS NULL
  )
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


def _recognised(found: Lookups, former: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Suppressions under an earlier release's hash, as today's hash. An erased person's address is not stored, so the
    new hash can be made only now that a request names the address; the row is updated, so that a sender finds it
    as well."""
    for channel, was in found.suppressed:
        if channel == Channel.EMAIL and was in former:
            now = recipient_hash(Channel.EMAIL, former[was])
            rows = Suppression.objects.active().filter(organization=found.organization, channel=channel)
            if not rows.filter(recipient_hash=now).exists():
                rows.filter(recipient_hash=was).update(recipient_hash=now)
            yield channel, now


def _with_versions(found: Lookups, template: Template) -> None:
    """Set the template's versions. Which version is in use is read each time; a version's content never changes and
    is cached."""
    for pk in (template.active_version_id, template.fallback_version_id):
        if pk is not None:
            version, found.contents[pk] = _version(pk)
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


_version = BoundedCache(_read_version, most=VERSIONS_LIMIT)
"""Cache of versions and their contents: neither ever changes, so a process reads them once."""


def _gather_people(found: Lookups, ids: set[uuid.UUID], addresses: set[str], tokens: set[str]) -> None:
    """Read the people with these ids, and the owners of the addresses and device tokens."""
    lowered = [form for address in addresses for form in folded(address)]
    hashes = [recipient_hash(Channel.PUSH, token) for token in tokens]
    _read_people(found, ids, lowered, hashes)
    if not addresses and not tokens:
        return
    for user in found.users.values():
        found.owners[recipient_hash(Channel.EMAIL, user.email)] = user
        for device in found.devices.get(user.pk, []):
            found.owners[device.token_hash] = user


@storage.operation
def _read_people(found: Lookups, ids: set[uuid.UUID], addresses: list[str], tokens: list[str]) -> None:
    values: dict[str, Any] = {"organization": found.organization.pk, "ids": list(ids)}
    owners = _BY_ID
    if addresses or tokens:
        owners = _BY_CONTACT
        values |= {"addresses": addresses, "tokens": tokens}
    for choices, user, device in read(_PEOPLE.replace("{owners}", owners), (User, Device), values):
        found.users[user.pk] = user
        if device is not None:
            found.devices.setdefault(user.pk, []).append(device)
        found.choices[user.pk] = dict(map(_choice, choices))


@_read_people.portable
def _read_people_portably(
    found: Lookups, ids: set[uuid.UUID], addresses: list[str], tokens: list[str]
) -> None:
    people = User.objects.filter(organization=found.organization, erased_at=None)
    held = Device.objects.active().filter(organization=found.organization, token_hash__in=tokens)
    named = people.annotate(folded=Lower("email")).filter(
        Q(pk__in=ids) | Q(folded__in=addresses) | Q(pk__in=held.values("user"))
    )
    found.users = {user.pk: user for user in named}
    for device in Device.objects.active().filter(user__in=list(found.users)).order_by("id"):
        found.devices.setdefault(device.user_id, []).append(device)
    found.choices = choices_of_all(list(found.users.values()))


def _choice(text: str) -> tuple[tuple[uuid.UUID | None, str], bool]:
    category, channel, enabled = text.split(" ")
    return (uuid.UUID(category) if category else None, channel), enabled == "1"
