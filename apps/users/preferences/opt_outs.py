"""What a person allows: a choice for each channel, and for each category that has one of its own."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q

from apps.users.models import Category, NotificationPreference, PreferenceSource, User
from notifier.channels.registry import CODES

Choices = Mapping[tuple[uuid.UUID | None, str], bool]
"""By (category's id or None, channel): allowed or refused."""


def allows(choices: Choices, channel: str, category: Category | None) -> bool:
    """A mandatory category can't be refused; a category's own choice wins over the general one."""
    general = choices.get((None, channel), True)
    if category is None:
        return general
    return category.mandatory or choices.get((category.pk, channel), general)


def choices_of(user: User) -> Choices:
    rows = NotificationPreference.objects.filter(user=user)
    return {(row.category_id, row.channel): row.enabled for row in rows}


def choices_of_all(users: Collection[User]) -> dict[uuid.UUID, Choices]:
    """Choices by person's id; people without any are left out."""
    found: dict[uuid.UUID, dict[tuple[uuid.UUID | None, str], bool]] = defaultdict(dict)
    if users:
        for row in NotificationPreference.objects.filter(user__in=users):
            found[row.user_id][row.category_id, row.channel] = row.enabled
    return dict(found)


def shown(user: User) -> dict[str, Any]:
    choices = choices_of(user)
    return {
        **{channel: allows(choices, channel, None) for channel in CODES},
        "categories": {
            category.code: {
                **{channel: allows(choices, channel, category) for channel in CODES},
                "mandatory": category.mandatory,
            }
            for category in Category.objects.filter(organization=user.organization_id).order_by("code")
        },
    }


def changes_for(
    choices: Choices, wanted: Mapping[tuple[Category | None, str], bool], categories: Sequence[Category]
) -> dict[tuple[uuid.UUID | None, str], bool]:
    """What to store so that each (category or None, channel) becomes as `wanted` and all others stay as they are."""
    changes: dict[tuple[uuid.UUID | None, str], bool] = {}
    for channel in CODES:
        general = choices.get((None, channel), True)
        after = wanted.get((None, channel), general)
        if after != general:
            changes[None, channel] = after
        for category in categories:
            chosen = wanted.get((category, channel), allows(choices, channel, category))
            if chosen != choices.get((category.pk, channel), after):
                changes[category.pk, channel] = chosen
    return changes


def choose(
    user: User, choices: Mapping[tuple[uuid.UUID | None, str], bool | None], *, source: PreferenceSource
) -> None:
    """Store these choices beside the others; None removes a category's own choice."""
    if not choices:
        return
    replaced = Q()
    for category, channel in choices:
        replaced |= Q(category=category, channel=channel)
    with transaction.atomic():
        # Serializes changes for the same person.
        User.objects.select_for_update().get(pk=user.pk)
        NotificationPreference.objects.filter(replaced, user=user).delete()
        for (category, channel), enabled in choices.items():
            if enabled is not None:
                # One by one: the audit log records saved rows, not bulk inserts.
                NotificationPreference.objects.create(
                    user=user, category_id=category, channel=channel, enabled=enabled, source=source
                )
