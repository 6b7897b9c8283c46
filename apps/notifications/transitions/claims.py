"""Queued → sending: which due rows are claimed next, claiming many at once, and releasing what was not begun.

One statement claims each row for one token, however many workers try at the same time.

On PostgreSQL a claim that may choose its rows skips those that another claim has locked, so that they don't wait for
each other. SQLite has one writer at a time, and no such locks.
"""

import threading
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from apps.notifications.models.deliveries import BULK_BELOW, ClaimedDelivery, Delivery, Notification
from apps.notifications.models.statuses import Status
from apps.notifications.models.waiting import FREE, from_now
from apps.notifications.queue.broker import BATCH_SIZE, SMALL_BATCH
from apps.notifications.transitions import dead_letters, eligibility, timeline
from apps.notifications.transitions.status_changes import SENDER_MOVES, change
from notifier.lib.database import storage
from notifier.lib.database.encryption import Undecryptable
from notifier.lib.database.sql import run

log = structlog.get_logger(__name__)

WAITED_SECONDS = 1
"""A row that is due for longer than this waits in a backlog: only such rows are claimed along with the named ones."""

REFRESH_SECONDS = 1.0
"""How long the list of organizations with waiting rows is cached."""

# The last column says whether the row is plain (`eligibility.plain_sql`).
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
{plain}"""
# Waits for locked rows: the publisher may hold one only to record its publication, and no other message names it.
_NAMED = """
SELECT id FROM {table} WHERE id = ANY(%(ids)s::uuid[]) AND {due} AND organization_id <> ALL(%(excluded)s::uuid[])
ORDER BY id FOR UPDATE
"""
_NEXT_OF_ORGANIZATION = """
SELECT id FROM {table} WHERE organization_id = %(organization)s AND priority >= {urgent} AND {due}
ORDER BY due_at LIMIT {most} FOR UPDATE SKIP LOCKED
"""
# A set operation can't lock rows; each of its sides can, the first one first. A claim that waits holds no lock that
# the other claim's first side could wait for: no deadlock.
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
# Goes from one organization to the next by the index, however many rows each of them has.
_WAITING = """
WITH RECURSIVE waiting AS (
  (SELECT organization_id FROM {table} WHERE status = 'queued' AND priority < {urgent}
   ORDER BY organization_id LIMIT 1)
  UNION ALL
  SELECT (SELECT next_row.organization_id FROM {table} AS next_row
          WHERE next_row.status = 'queued' AND next_row.priority < {urgent}
            AND next_row.organization_id > waiting.organization_id
          ORDER BY next_row.organization_id LIMIT 1)
  FROM waiting WHERE waiting.organization_id IS NOT NULL
)
SELECT organization_id FROM waiting WHERE organization_id IS NOT NULL
"""


class ClaimedRows(NamedTuple):
    """The rows of a claim. `plain`: rows that may be sent as they are; `to_recheck`: the ids of those whose
    eligibility has to be checked again; `unreadable`: the ids of those that no key can decrypt, with the reason."""

    plain: list[ClaimedDelivery]
    to_recheck: list[Any]
    unreadable: list[tuple[Any, str]]

    @property
    def size(self) -> int:
        return len(self.plain) + len(self.to_recheck) + len(self.unreadable)

    def add(self, more: "ClaimedRows") -> None:
        self.plain.extend(more.plain)
        self.to_recheck.extend(more.to_recheck)
        self.unreadable.extend(more.unreadable)


class BulkRoundRobin:
    """Which organization's bulk rows are claimed next: after each batch another organization's. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[type[Delivery], list[Any]] = {}
        self._refreshed_at: dict[type[Delivery], float] = {}

    def order(self, model: type[Delivery]) -> list[Any]:
        """Ids of all organizations with waiting bulk rows, in the order of claiming; each call rotates it."""
        with self._lock:
            now = time.monotonic()
            if now - self._refreshed_at.get(model, -REFRESH_SECONDS) >= REFRESH_SECONDS:
                known = self._waiting.get(model, [])
                found = set(organizations_waiting(model))
                # Those that waited keep their places.
                self._waiting[model] = [pk for pk in known if pk in found]
                self._waiting[model] += sorted(found.difference(known))
                self._refreshed_at[model] = now
            waiting = self._waiting[model]
            order = list(waiting)
            if waiting:
                waiting.append(waiting.pop(0))
            return order

    def invalidate(self, model: type[Delivery]) -> None:
        """Read the list anew at the next call."""
        with self._lock:
            self._refreshed_at.pop(model, None)


def claim_due(
    model: type[Delivery],
    ids: list[str],
    *,
    token: str,
    bulk: bool,
    round_robin: BulkRoundRobin,
    excluded: Sequence[Any] = (),
    organization: Any = None,
) -> ClaimedRows:
    """Claim a batch of rows for `token`. `organization`: the next few rows of this one instead, whatever `ids` are.

    In the transactional lane: the named rows, and others that have waited for long, but none of the organizations
    that are `excluded`. In the bulk lane every message claims a full batch, whatever ids it names, round robin by
    organization, so that one organization's million rows don't delay another's thousand.
    """
    lease = settings.JOURNALLED_LEASE_SECONDS
    if organization is not None:
        return claim_next_of(model, organization, most=SMALL_BATCH, token=token, lease=lease)
    if not bulk:
        extra = max(0, BATCH_SIZE - len(ids))
        return claim_named(model, ids, token=token, lease=lease, extra=extra, excluded=excluded)
    claimed = ClaimedRows([], [], [])
    for each in round_robin.order(model):
        claimed.add(claim_bulk_of(model, each, most=BATCH_SIZE - claimed.size, token=token, lease=lease))
        if claimed.size >= BATCH_SIZE:
            return claimed
    # A claim skips locked rows, and one may be locked only to record that it was published: a batch that is not full
    # waits for these, since the message that names them may have been consumed.
    round_robin.invalidate(model)
    for each in round_robin.order(model):
        if most := BATCH_SIZE - claimed.size:
            claimed.add(claim_bulk_of(model, each, most=most, token=token, lease=lease, wait=True))
    claimed.add(claim_named(model, ids, token=token, lease=lease))
    return claimed


@storage.operation
def claim_named(
    model: type[Delivery],
    ids: Sequence[str],
    *,
    token: str,
    lease: float,
    extra: int = 0,
    excluded: Sequence[Any] = (),
) -> ClaimedRows:
    """Claim those of `ids` that are due and up to `extra` other rows of the transactional lane that have waited for
    longer than usual, oldest first. All are `token`'s for `lease` seconds. `excluded`: organizations whose rows are
    not claimed; with any, no extra rows are."""
    if extra and not excluded:
        values: dict[str, Any] = {"ids": list(ids), "waited": WAITED_SECONDS}
        return _claim(model, _NAMED_AND_LONGEST, extra, token=token, lease=lease, **values)
    return _claim(model, _NAMED, 0, token=token, lease=lease, ids=list(ids), excluded=list(excluded))


@claim_named.portable
def _claim_named(
    model: type[Delivery],
    ids: Sequence[str],
    *,
    token: str,
    lease: float,
    extra: int = 0,
    excluded: Sequence[Any] = (),
) -> ClaimedRows:
    rows: Any = model.objects.filter(pk__in=list(ids))  # type: ignore[attr-defined]
    return _claim_portably(model, rows.exclude(organization__in=list(excluded)), token=token, lease=lease)


@storage.operation
def claim_next_of(
    model: type[Delivery], organization: Any, *, most: int, token: str, lease: float
) -> ClaimedRows:
    """Claim up to `most` due rows of the organization's transactional lane, oldest first."""
    return _claim(model, _NEXT_OF_ORGANIZATION, most, organization=organization, token=token, lease=lease)


@claim_next_of.portable
def _claim_next_of(
    model: type[Delivery], organization: Any, *, most: int, token: str, lease: float
) -> ClaimedRows:
    rows: Any = model.objects.due().filter(organization=organization, priority__gte=BULK_BELOW)  # type: ignore[attr-defined]
    return _claim_portably(model, rows.order_by("due_at"), token=token, lease=lease, most=most)


@storage.operation
def claim_bulk_of(
    model: type[Delivery], organization: Any, *, most: int, token: str, lease: float, wait: bool = False
) -> ClaimedRows:
    """Claim up to `most` due rows of the organization's bulk lane, oldest first.

    `wait`: also wait for rows that another transaction has locked.
    """
    picked = _REST_OF_ORGANIZATION if wait else _OF_ORGANIZATION
    return _claim(model, picked, most, organization=organization, token=token, lease=lease)


@claim_bulk_of.portable
def _claim_bulk_of(
    model: type[Delivery], organization: Any, *, most: int, token: str, lease: float, wait: bool = False
) -> ClaimedRows:
    rows: Any = model.objects.due().filter(organization=organization, priority__lt=BULK_BELOW)  # type: ignore[attr-defined]
    return _claim_portably(model, rows.order_by("due_at"), token=token, lease=lease, most=most)


@storage.operation
def organizations_waiting(model: type[Delivery]) -> list[Any]:
    """The ids of the organizations with queued rows in the bulk lane."""
    return [pk for (pk,) in run(_filled(_WAITING, model), {})]


@organizations_waiting.portable
def _organizations_waiting(model: type[Delivery]) -> list[Any]:
    rows: Any = model.objects.filter(status=Status.QUEUED, priority__lt=BULK_BELOW)  # type: ignore[attr-defined]
    return list(rows.order_by().values_list("organization", flat=True).distinct())


def _claim(model: type[Delivery], picked: str, most: int, **values: Any) -> ClaimedRows:
    found = run(_filled(_TAKE, model, picked, most), values)
    claimed = ClaimedRows([], [], [])
    variables, recipient = Notification._meta.get_field("variables"), model._meta.get_field(model.RECIPIENT)
    for *values_of, plain in found:
        if not plain:
            claimed.to_recheck.append(values_of[0])
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
"""Their positions among the columns of `_TAKE`, which are those of a ClaimedDelivery."""


def _read(field: Any, value: Any) -> Any:
    return field.from_db_value(value, None, connection) if hasattr(field, "from_db_value") else value


@lru_cache(maxsize=512)
def _filled(text: str, model: type[Delivery], picked: str = "", most: int = 0) -> str:
    """Fill in the placeholders of an SQL text. `most` is written into it: for a limit that is a parameter, a prepared
    plan assumes a tenth of the table, and reads all of that for a hundred rows."""
    parts = {
        "{picked}": picked,
        "{most}": str(most),
        "{plain}": eligibility.plain_sql(model),
        "{recipient}": model.RECIPIENT,
        "{due}": "status = 'queued' AND due_at <= statement_timestamp()",
        "{table}": connection.ops.quote_name(model._meta.db_table),
        "{urgent}": str(BULK_BELOW),
    }
    for name, value in parts.items():
        text = text.replace(name, value)
    return text


def _claim_portably(
    model: type[Delivery], rows: Any, *, token: str, lease: float, most: int | None = None
) -> ClaimedRows:
    """Claim rows without PostgreSQL's statements. All are to be rechecked: only `plain_sql` finds plain ones."""
    objects: Any = model.objects  # type: ignore[attr-defined]
    picked = list(rows.due().values_list("pk", flat=True)[:most])
    change(
        objects.due().filter(pk__in=picked),
        Status.SENDING,
        SENDER_MOVES,
        fence=F("fence") + 1,
        lease_until=from_now(lease),
        claimed_by=token,
    )
    claimed = objects.filter(pk__in=picked, claimed_by=token, status=Status.SENDING)
    return ClaimedRows([], list(claimed.values_list("pk", flat=True)), [])


def load(model: type[Delivery], pks: list[Any], token: str) -> tuple[list[Delivery], list[tuple[Any, str]]]:
    """The claim's rows with all their relations, and the ids of those that no key can decrypt, with the reason.

    By the token: after a stall between claim and read a row may belong to another claim by now.
    """
    rows: Any = model.objects.filter(claimed_by=token).order_by("due_at", "id")  # type: ignore[attr-defined]
    try:
        return rows.filter(pk__in=pks).complete(), []
    except Undecryptable:
        found: list[Delivery] = []
        unreadable = []
        for pk in pks:
            try:
                found += rows.filter(pk=pk).complete()
            except Undecryptable as error:
                unreadable.append((pk, str(error)))
        return found, unreadable


def of_sender(model: type[Delivery], name: str) -> list[Delivery]:
    """The rows that are claimed by the process with this journal name."""
    rows: Any = model.objects.filter(status=Status.SENDING, claimed_by__startswith=f"{name}/")  # type: ignore[attr-defined]
    return list(rows.complete())


def give_back(
    model: type[Delivery], token: str, pks: Sequence[Any] | None = None, *, error: str = ""
) -> None:
    """Queue rows of this claim again that no sender has begun, all of them or `pks`, for the scheduler to find.

    Of `pks`, those that an expired lease has made `unknown` meanwhile are queued, too: they were not sent. Not
    where an operator has discarded their dead letters. `error`: why their content can't even be read; they wait
    until an operator has mended that.
    """
    columns: dict[str, Any] = {"fence": F("fence") + 1, **FREE}
    if error:
        columns |= {
            "due_at": from_now(settings.CONFIGURATION_PAUSE_SECONDS),
            "error_code": "undecryptable",
            "error_detail": error,
        }
    rows: Any = model.objects.filter(claimed_by=token)  # type: ignore[attr-defined]
    if pks is not None:
        rows = rows.filter(pk__in=list(pks))
    with transaction.atomic():
        # By its status: the index is of rows that are being sent, and the table may have millions of others.
        change(rows.filter(status=Status.SENDING), Status.QUEUED, SENDER_MOVES, **columns)
        if pks is not None:
            _give_back_unknown(rows, columns)


def _give_back_unknown(rows: Any, columns: dict[str, Any]) -> None:
    # Looked for after the others were changed, which may have waited for the transaction that made these unknown.
    unknown = rows.filter(status=Status.UNKNOWN).select_for_update(of=("self",)).in_bulk()
    # The attempt that was counted when the lease expired was none.
    columns = {
        "error_code": "",
        "error_detail": "",
        "finished_at": None,
        **columns,
        "attempts": F("attempts") - 1,
    }
    for pk in dead_letters.close_unknown(unknown, by="given back"):
        change(rows.filter(pk=pk), Status.QUEUED, SENDER_MOVES, **columns)
        timeline.note(unknown[pk], timeline.DEFERRED, code="not_begun")


def give_back_unreadable(model: type[Delivery], token: str, unreadable: list[tuple[Any, str]]) -> None:
    """Queue these rows again, to wait until an operator adds the key that ENCRYPTION_KEYS lacks."""
    for pk, error in unreadable:
        log.error("undecryptable", delivery_id=str(pk), reason=error)
        give_back(model, token, [pk], error=error)
