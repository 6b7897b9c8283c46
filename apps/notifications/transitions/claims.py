"""Queued → sending: claiming many rows at once, reading them, and giving back what was not begun.

Each row becomes one claim's by one statement, whoever else asks for it.

On PostgreSQL a claim that may choose passes over what another one is looking at, so that they don't wait for each
other. SQLite has one writer at a time, and nothing to pass over.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import structlog
from django.db import connection
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from apps.notifications.models.claimed import ClaimedDelivery
from apps.notifications.models.deliveries import BULK_BELOW, Delivery, Notification, PushLog
from apps.notifications.models.statuses import Status
from apps.notifications.models.waiting import from_now
from apps.notifications.transitions import outcomes
from apps.templates.models import TemplateVersion
from apps.users.models import Organization, User
from notifier.lib.database.encryption import Undecryptable
from notifier.lib.database.sql import run

log = structlog.get_logger(__name__)

WAITED_SECONDS = 1
"""What is due for longer than this has a backlog before it: only then does a wake-up take others along."""

# A row is plain where nothing that the policy looks at is there at all: it may go. Of any other the policy decides.
_TAKE = """
UPDATE {table} AS row
SET status = 'sending', fence = row.fence + 1, claimed_by = %(token)s,
    lease_until = statement_timestamp() + %(lease)s * interval '1 second'
FROM notifications_notification AS notification
JOIN users_organization AS organization ON organization.id = notification.organization_id
JOIN templates_templateversion AS version ON version.id = notification.template_version_id
JOIN templates_template AS template ON template.id = version.template_id
LEFT JOIN users_category AS category ON category.id = template.category_id
LEFT JOIN users_user AS person ON person.id = notification.user_id
WHERE row.id IN ({picked}) AND notification.id = row.notification_id
RETURNING row.id, row.notification_id, row.organization_id, row.fence, row.attempts, row.priority, row.epoch,
  row.language, row.{recipient}, notification.variables, notification.template_version_id, notification.user_id,
  template.category_id, coalesce(category.mandatory, false), notification.live, notification.correlation_id,
  organization.default_language,
  extract(epoch FROM statement_timestamp() - coalesce(notification.scheduled_at, notification.created_at))::float8,
  notification.callback_url <> '', coalesce(category.code, ''), organization.slug,
  organization.is_active AND row.{recipient} <> '' AND row.deadline_at > statement_timestamp()
  AND notification.expires_at IS NULL AND category.cap IS NULL
  AND NOT EXISTS (
    SELECT FROM notifications_suppression AS suppression
    WHERE suppression.recipient_hash = row.recipient_hash AND suppression.lifted_at IS NULL
  )
  AND CASE WHEN person.id IS NULL THEN NOT notification.for_user AND NOT EXISTS ({meant}) ELSE
    person.is_active AND person.quiet_from IS NULL
    AND CASE WHEN notification.for_user THEN {theirs} ELSE EXISTS ({meant} AND {owner} = person.id) END
    AND NOT EXISTS (
      SELECT FROM users_notificationpreference AS preference
      WHERE preference.user_id = person.id AND NOT preference.enabled
    )
  END
"""
_DEVICE = """EXISTS (
      SELECT FROM users_device AS device
      WHERE device.user_id = person.id AND device.token_hash = row.recipient_hash AND device.retired_at IS NULL
    )"""
# Whose a bare address or token is by now: it may have changed hands since.
_AT_ADDRESS = """
    SELECT FROM users_user AS registered
    WHERE registered.organization_id = row.organization_id AND lower(registered.email) = lower(row.email)"""
_AT_DEVICE = """
    SELECT FROM users_device AS device
    WHERE device.organization_id = row.organization_id AND device.token_hash = row.recipient_hash
      AND device.retired_at IS NULL"""
# Waited for, since whoever holds one may only be noting that it was published: no other message names it.
_NAMED = """
SELECT id FROM {table} WHERE id = ANY(%(ids)s::uuid[]) AND {due} AND organization_id <> ALL(%(others)s::uuid[])
ORDER BY id FOR UPDATE
"""
_NEXT_OF_ORGANIZATION = """
SELECT id FROM {table} WHERE organization_id = %(organization)s AND priority >= {urgent} AND {due}
ORDER BY due_at LIMIT {most} FOR UPDATE SKIP LOCKED
"""
# A set operation can't lock rows; each of its sides can, the first one first. What waits holds nothing that the
# other claim's first side could wait for: no deadlock.
_NAMED_AND_LONGEST = """
WITH named AS (
  SELECT id FROM {table} WHERE id = ANY(%(ids)s::uuid[]) AND {due} ORDER BY id FOR UPDATE
), longest AS (
  SELECT id FROM {table}
  WHERE status = 'queued' AND priority >= {urgent}
    AND due_at <= statement_timestamp() - %(waited)s * interval '1 second'
  ORDER BY due_at LIMIT {most} FOR UPDATE SKIP LOCKED
)
SELECT id FROM named UNION SELECT id FROM longest
"""
_OF_ORGANIZATION = """
SELECT id FROM {table} WHERE organization_id = %(organization)s AND priority < {urgent} AND {due}
ORDER BY due_at LIMIT {most} FOR UPDATE SKIP LOCKED
"""
_REST_OF_ORGANIZATION = """
SELECT id FROM {table} WHERE organization_id = %(organization)s AND priority < {urgent} AND {due}
ORDER BY id LIMIT {most} FOR UPDATE
"""
# From one organization to the next by the index, however many rows each of them has.
_WAITING = """
WITH RECURSIVE waiting AS (
  (SELECT organization_id FROM {table} WHERE status = 'queued' AND priority < {urgent}
   ORDER BY organization_id LIMIT 1)
  UNION ALL
  SELECT (SELECT following.organization_id FROM {table} AS following
          WHERE following.status = 'queued' AND following.priority < {urgent}
            AND following.organization_id > waiting.organization_id
          ORDER BY following.organization_id LIMIT 1)
  FROM waiting WHERE waiting.organization_id IS NOT NULL
)
SELECT organization_id FROM waiting WHERE organization_id IS NOT NULL
"""


class Claimed(NamedTuple):
    """What a claim got: rows that may go as they are, those that the policy has to look at, and those that no key
    can decrypt, with the reason; both by their ids."""

    plain: list[ClaimedDelivery]
    others: list[Any]
    unreadable: list[tuple[Any, str]]


def claim_named(
    model: type[Delivery],
    ids: Sequence[str],
    *,
    token: str,
    lease: float,
    along: int = 0,
    but: Sequence[Any] = (),
) -> Claimed:
    """Those of `ids` that are due and, of what has waited for longer than usual, up to `along` other rows of the
    transactional lane, oldest first. All are `token`'s for `lease` seconds. `but`: whose rows are left."""
    if connection.vendor != "postgresql":
        rows = model.objects.filter(pk__in=list(ids)).exclude(organization__in=list(but))  # type: ignore[attr-defined]
        return Claimed([], _claim_portably(model, rows, token=token, lease=lease), [])
    if along and not but:
        values: dict[str, Any] = {"ids": list(ids), "waited": WAITED_SECONDS}
        return _run(model, _NAMED_AND_LONGEST, along, token=token, lease=lease, **values)
    return _run(model, _NAMED, 0, token=token, lease=lease, ids=list(ids), others=list(but))


def claim_next_of(
    model: type[Delivery], organization: Any, *, most: int, token: str, lease: float
) -> Claimed:
    """Up to `most` due rows of the organization's transactional lane, oldest first, likewise."""
    if connection.vendor != "postgresql":
        rows = model.objects.due().filter(organization=organization, priority__gte=BULK_BELOW)  # type: ignore[attr-defined]
        picked = model.objects.filter(
            pk__in=list(rows.order_by("due_at").values_list("pk", flat=True)[:most])
        )  # type: ignore[attr-defined]
        return Claimed([], _claim_portably(model, picked, token=token, lease=lease), [])
    return _run(model, _NEXT_OF_ORGANIZATION, most, organization=organization, token=token, lease=lease)


def claim_of(
    model: type[Delivery], organization: Any, *, most: int, token: str, lease: float, wait: bool = False
) -> Claimed:
    """Up to `most` due rows of the organization's bulk lane, oldest first, likewise. On PostgreSQL alone.

    `wait`: for those, too, that somebody else is looking at.
    """
    picked = _REST_OF_ORGANIZATION if wait else _OF_ORGANIZATION
    return _run(model, picked, most, organization=organization, token=token, lease=lease)


def organizations_waiting(model: type[Delivery]) -> list[Any]:
    """Whose bulk lanes hold anything, by id. On PostgreSQL alone."""
    return [pk for (pk,) in run(_filled(_WAITING, model), {})]


def _run(model: type[Delivery], picked: str, most: int, **values: Any) -> Claimed:
    found = run(_filled(_TAKE, model, picked, most), values)
    claimed = Claimed([], [], [])
    variables, recipient = Notification._meta.get_field("variables"), model._meta.get_field(model.RECIPIENT)
    for *values_of, plain in found:
        if not plain:
            claimed.others.append(values_of[0])
            continue
        try:
            values_of[_VARIABLES] = _read(variables, values_of[_VARIABLES])
            values_of[_RECIPIENT] = _read(recipient, values_of[_RECIPIENT])
        except Undecryptable as error:
            claimed.unreadable.append((values_of[0], str(error)))
        else:
            claimed.plain.append(ClaimedDelivery(model, *values_of))
    return claimed


_RECIPIENT, _VARIABLES = 8, 9
"""Where they stand among the columns of `_TAKE`, which are those of a ClaimedDelivery."""


def _read(field: Any, value: Any) -> Any:
    return field.from_db_value(value, None, connection) if hasattr(field, "from_db_value") else value


@lru_cache(maxsize=512)
def _filled(text: str, model: type[Delivery], picked: str = "", most: int = 0) -> str:
    """`most` is written into the text: of a limit that comes as a value a prepared plan only knows that it might be a
    tenth of the table, and reads all of that for a hundred rows."""
    parts = {
        "{picked}": picked,
        "{most}": str(most),
        "{theirs}": _DEVICE if issubclass(model, PushLog) else "true",
        "{owner}": "device.user_id" if issubclass(model, PushLog) else "registered.id",
        "{meant}": _AT_DEVICE if issubclass(model, PushLog) else _AT_ADDRESS,
        "{recipient}": model.RECIPIENT,
        "{due}": "status = 'queued' AND due_at <= statement_timestamp()",
        "{table}": connection.ops.quote_name(model._meta.db_table),
        "{urgent}": str(BULK_BELOW),
    }
    for name, value in parts.items():
        text = text.replace(name, value)
    return text


def _claim_portably(model: type[Delivery], rows: Any, *, token: str, lease: float) -> list[Any]:
    rows.due().update(
        status=Status.SENDING, fence=F("fence") + 1, lease_until=from_now(lease), claimed_by=token
    )
    return list(model.objects.filter(claimed_by=token).values_list("pk", flat=True))  # type: ignore[attr-defined]


def load(model: type[Delivery], pks: list[Any], token: str) -> tuple[list[Delivery], list[tuple[Any, str]]]:
    """The claim's rows with all their relations; those that no key can decrypt apart, with the reason.

    By the token: after a stall between claim and look a row may be another claim's by now.
    """
    rows: Any = model.objects.filter(claimed_by=token).order_by("due_at", "id")  # type: ignore[attr-defined]
    try:
        return complete(rows.filter(pk__in=pks)), []
    except Undecryptable:
        found: list[Delivery] = []
        unreadable = []
        for pk in pks:
            try:
                found += complete(rows.filter(pk=pk))
            except Undecryptable as error:
                unreadable.append((pk, str(error)))
        return found, unreadable


def of_sender(model: type[Delivery], name: str) -> list[Delivery]:
    """The rows that the process of this journal holds."""
    rows: Any = model.objects.filter(status=Status.SENDING, claimed_by__startswith=f"{name}/")  # type: ignore[attr-defined]
    return complete(rows)


def complete(asked: QuerySet[Any]) -> list[Delivery]:
    """The rows with their organizations, versions and people: one instance each, whoever shares it, and `db_now`."""
    rows: list[Any] = list(asked.select_related("notification").annotate(db_now=Now()))
    organizations = Organization.objects.in_bulk({row.organization_id for row in rows})
    versions = TemplateVersion.objects.select_related(
        "template__category", "template__fallback_version"
    ).in_bulk({row.notification.template_version_id for row in rows})
    people = {row.notification.user_id for row in rows} - {None}
    users = User.objects.in_bulk(people) if people else {}
    for row in rows:
        notification = row.notification
        row.organization = notification.organization = organizations[row.organization_id]
        notification.template_version = versions[notification.template_version_id]
        if notification.user_id is not None:
            # One that was deleted since the row was read is nobody.
            notification.user = users.get(notification.user_id)
    return rows


def release(model: type[Delivery], pks: list[Any], token: str) -> None:
    """Leave rows of the claim that nobody has begun to the next sweep, as they were."""
    rows: Any = model.objects  # type: ignore[attr-defined]
    rows.filter(pk__in=pks, claimed_by=token, status=Status.SENDING).free()


def release_all(model: type[Delivery], ids: list[str], token: str) -> None:
    """The same for a claim that came to nothing, whether it was made or not, and for the rows it was asked for."""
    rows: Any = model.objects  # type: ignore[attr-defined]
    rows.filter(status=Status.SENDING, claimed_by=token).free()
    rows.unpublish(ids)


def release_unreadable(model: type[Delivery], unreadable: list[tuple[Any, str]], token: str) -> None:
    """Let these wait until somebody has mended what `ENCRYPTION_KEYS` lacks."""
    for pk, error in unreadable:
        log.error("undecryptable", delivery_id=str(pk), reason=error)
        outcomes.release(model, str(pk), token, error=error)
