"""Everything that deciding about requests needs to know, fetched in a handful of queries for one or a thousand."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache

from django.db import connection

from apps.notifications import policy
from apps.notifications.models import Notification, Suppression
from apps.notifications.policy import Facts
from apps.notifications.requests import NotificationRequest
from apps.templates.models import Template, TemplateContent, TemplateVersion
from apps.users.channels import Channel
from apps.users.hashing import recipient_hash
from apps.users.models import Category, Device, NotificationPreference, Organization, User
from apps.users.preferences import Choices
from apps.users.statements import fetch, run


@dataclass(slots=True)
class Lookups:
    """What was found, by the names that requests use. What isn't in here doesn't exist for the organization."""

    organization: Organization
    templates: dict[str, Template] = field(default_factory=dict)
    contents: dict[uuid.UUID, list[TemplateContent]] = field(default_factory=dict)
    users: dict[uuid.UUID, User] = field(default_factory=dict)
    devices: dict[uuid.UUID, list[Device]] = field(default_factory=dict)
    choices: dict[uuid.UUID, Choices] = field(default_factory=dict)
    suppressed: frozenset[tuple[str, str]] = frozenset()
    counted: Counter[tuple[uuid.UUID, str, str]] = field(default_factory=Counter)
    """By (category, channel, recipient's hash), where the category has a cap: what they got lately."""
    earlier: dict[str, Notification] = field(default_factory=dict)
    """By request_id: the notification that it made before."""

    def facts(self, user: User | None, category: Category | None) -> Facts:
        return Facts(
            organization_active=self.organization.is_active,
            user=user,
            choices=self.choices.get(user.pk, {}) if user else {},
            category=category,
            suppressed=self.suppressed,
        )


def gather(organization: Organization, requests: Iterable[NotificationRequest], *, live: bool) -> Lookups:
    asked = list(requests)
    found = Lookups(organization)
    request_ids = {request.request_id for request in asked if request.request_id is not None}
    if request_ids and _came_before(organization, request_ids, live=live):
        rows = Notification.objects.select_related("template_version__template")
        for row in rows.filter(organization=organization, live=live, request_id__in=request_ids):
            found.earlier[str(row.request_id)] = row
    _gather_templates(found, {request.template_code for request in asked})
    _gather_people(found, {request.user_id for request in asked if request.user_id is not None})
    hashes = [recipient_hash(Channel.EMAIL, request.email) for request in asked if request.email]
    hashes += [
        recipient_hash(Channel.PUSH, request.device_token) for request in asked if request.device_token
    ]
    hashes += [recipient_hash(Channel.EMAIL, user.email) for user in found.users.values()]
    hashes += [device.token_hash for devices in found.devices.values() for device in devices]
    found.suppressed = _suppressed(organization, hashes)
    for category in {template.category for template in found.templates.values()}:
        if category is not None and category.cap is not None and not category.mandatory:
            for (channel, recipient), count in policy.counts(category, hashes, live=live).items():
                found.counted[category.pk, channel, recipient] = count
    return found


def _came_before(organization: Organization, request_ids: set[str], *, live: bool) -> bool:
    """Whether any of them did: most never did, and Django's query for their rows costs more than this one."""
    if connection.vendor != "postgresql":
        return True
    asked = """
        SELECT 1 FROM notifications_notification
        WHERE organization_id = %(organization)s AND live = %(live)s AND request_id = ANY(%(ids)s) LIMIT 1
    """
    return bool(run(asked, {"organization": organization.pk, "live": live, "ids": list(request_ids)}))


def _suppressed(organization: Organization, hashes: list[str]) -> frozenset[tuple[str, str]]:
    if connection.vendor != "postgresql":
        rows = Suppression.objects.active().filter(organization=organization, recipient_hash__in=hashes)
        return frozenset(rows.values_list("channel", "recipient_hash"))
    asked = """
        SELECT channel, recipient_hash FROM notifications_suppression
        WHERE organization_id = %(organization)s AND recipient_hash = ANY(%(hashes)s) AND lifted_at IS NULL
    """
    return frozenset(run(asked, {"organization": organization.pk, "hashes": hashes}))  # type: ignore[arg-type]


def _gather_templates(found: Lookups, codes: set[str]) -> None:
    """Which version is in use is read anew each time; what a version says never changes, and is kept."""
    categories: dict[uuid.UUID, Category] = {}
    for template in _templates(found.organization, codes):
        if template.category_id is not None:
            if template.category_id not in categories:
                categories[template.category_id] = Category.objects.get(pk=template.category_id)
            template.category = categories[template.category_id]
        for pk in (template.active_version_id, template.fallback_version_id):
            if pk is not None:
                version, found.contents[pk] = _version(pk)
                # A copy, since its template is this request's own.
                version = copy(version)
                version.template = template
                if pk == template.active_version_id:
                    template.active_version = version
                if pk == template.fallback_version_id:
                    template.fallback_version = version
        found.templates[template.code] = template


def _templates(organization: Organization, codes: set[str]) -> list[Template]:
    if connection.vendor != "postgresql":
        return list(Template.objects.usable().filter(organization=organization, code__in=codes))
    return fetch(
        Template,
        "organization_id = %(organization)s AND code = ANY(%(codes)s) AND archived_at IS NULL",
        {"organization": organization.pk, "codes": list(codes)},
    )


@lru_cache(maxsize=256)
def _version(pk: uuid.UUID) -> tuple[TemplateVersion, list[TemplateContent]]:
    """A version and its contents: neither ever changes, so a process reads them once."""
    return TemplateVersion.objects.get(pk=pk), list(TemplateContent.objects.filter(version=pk))


def _gather_people(found: Lookups, ids: set[uuid.UUID]) -> None:
    if not ids:
        return
    found.users = User.objects.filter(organization=found.organization, erased_at=None).in_bulk(list(ids))
    devices: dict[uuid.UUID, list[Device]] = defaultdict(list)
    for device in Device.objects.active().filter(user__in=list(found.users)).order_by("id"):
        devices[device.user_id].append(device)
    found.devices = devices
    choices: dict[uuid.UUID, dict[tuple[uuid.UUID | None, str], bool]] = defaultdict(dict)
    for row in NotificationPreference.objects.filter(user__in=list(found.users)):
        choices[row.user_id][row.category_id, row.channel] = row.enabled
    found.choices = dict(choices)
