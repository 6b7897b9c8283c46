"""People with their devices and their choices, by id, address or device token, read in one query."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.db.models import Q
from django.db.models.functions import Lower

from apps.users.models import Device, Organization, User
from apps.users.preferences.opt_outs import Choices, choices_of_all
from notifier.channels.registry import PERSON_COLUMNS
from notifier.lib.database import storage
from notifier.lib.database.sql import read


class People(NamedTuple):
    """By the person's id; `devices` in the order of registration. Who has no device or choice is left out there."""

    users: dict[uuid.UUID, User]
    devices: dict[uuid.UUID, list[Device]]
    choices: dict[uuid.UUID, Choices]


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
_BY_COLUMN = """ARRAY(
    SELECT id FROM users_user WHERE organization_id = %(organization)s AND {column} <> ''
      AND lower({column}) = ANY(ARRAY(SELECT lower(form) FROM unnest(%({column})s::text[]) AS form))
  )"""
_BY_DEVICE = """ARRAY(
    SELECT user_id FROM users_device
    WHERE organization_id = %(organization)s AND token_hash = ANY(%(tokens)s) AND retired_at IS NULL
  )"""
_BY_CONTACT = " || ".join(
    ("%(ids)s::uuid[]", *(_BY_COLUMN.replace("{column}", one) for one in PERSON_COLUMNS.values()), _BY_DEVICE)
)


@storage.operation
def read_people(
    organization: Organization,
    ids: set[uuid.UUID],
    addresses: Mapping[str, Sequence[str]],
    tokens: Sequence[str],
) -> People:
    """The organization's people with one of these ids, addresses (by the person's column, in lower case), or hashes
    of device tokens."""
    found = People({}, {}, {})
    values: dict[str, Any] = {"organization": organization.pk, "ids": list(ids)}
    owners = _BY_ID
    if tokens or any(addresses.values()):
        owners = _BY_CONTACT
        values |= {column: list(addresses.get(column, ())) for column in PERSON_COLUMNS.values()}
        values["tokens"] = list(tokens)
    for choices, user, device in read(_PEOPLE.replace("{owners}", owners), (User, Device), values):
        found.users[user.pk] = user
        if device is not None:
            found.devices.setdefault(user.pk, []).append(device)
        found.choices[user.pk] = dict(map(_choice, choices))
    return found


@read_people.portable
def _read_people_portably(
    organization: Organization,
    ids: set[uuid.UUID],
    addresses: Mapping[str, Sequence[str]],
    tokens: Sequence[str],
) -> People:
    people = User.objects.filter(organization=organization, erased_at=None)
    held = Device.objects.active().filter(organization=organization, token_hash__in=tokens)
    named = Q(pk__in=ids) | Q(pk__in=held.values("user"))
    for column, forms in addresses.items():
        people = people.annotate(**{f"folded_{column}": Lower(column)})
        named |= Q(**{f"folded_{column}__in": [form for form in forms if form]})
    users: dict[uuid.UUID, User] = {user.pk: user for user in people.filter(named)}
    devices: dict[uuid.UUID, list[Device]] = {}
    for device in Device.objects.active().filter(user__in=list(users)).order_by("id"):
        devices.setdefault(device.user_id, []).append(device)
    return People(users, devices, choices_of_all(list(users.values())))


def _choice(text: str) -> tuple[tuple[uuid.UUID | None, str], bool]:
    category, channel, enabled = text.split(" ")
    return (uuid.UUID(category) if category else None, channel), enabled == "1"
