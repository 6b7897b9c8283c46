"""The audit log records by itself: every change by an operator in an audited table stores an entry in the same
transaction, whichever view, page or command made it.

Workers, callers' sends and the system's own bookkeeping have no operator, and store no entry.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from django.apps import apps
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction
from django.db.models.signals import post_delete, post_save, pre_save

from notifier.channels.registry import PERSON_COLUMNS

Row = TypeVar("Row", bound=models.Model)

HIDDEN = "(hidden)"
SECRET = re.compile(r"password|secret\Z|token|hash|prefix")
PERSONAL = frozenset({"name", "recipient", "detail", *PERSON_COLUMNS.values()})
"""Columns that are hidden for people and addresses, because the log outlives them."""
BOOK_KEEPING = frozenset({"updated_at", "last_used_at", "last_login", "failing_since", "created_at"})
AT_ONCE = 1000
"""Rows of one statement that get an entry each; the rest share one."""

_operator: ContextVar[str] = ContextVar("operator", default="")


def act_as(name: str) -> None:
    """Attribute changes from here on to this operator, until the `acting` of the request or command ends."""
    _operator.set(name)


@contextmanager
def acting(name: str = "") -> Iterator[None]:
    before = _operator.set(name)
    try:
        yield
    finally:
        _operator.reset(before)


class AuditedQuerySet(models.QuerySet[Row]):
    """For tables whose rows are also changed by UPDATE: records those changes too."""

    def update(self, **values: Any) -> int:
        if not _operator.get() or not values.keys() - BOOK_KEEPING:
            return super().update(**values)
        with transaction.atomic(using=self.db):
            before = {row.pk: row for row in self.select_for_update(of=("self",)).order_by("pk")[:AT_ONCE]}
            changed = super().update(**values)
            for row in self.model._base_manager.filter(pk__in=before):
                _record(row, "changed", before=_columns(before[row.pk], values), after=_columns(row, values))
            if changed > len(before):
                _record_others(row, changed - len(before), values)
        return changed


def watch(*kinds: type[models.Model]) -> None:
    """Record every creation, change and deletion of rows of these models. Called once, when the apps are ready."""
    for kind in kinds:
        pre_save.connect(_remember, sender=kind, dispatch_uid=f"audit-before-{kind.__name__}")
        post_save.connect(_saved, sender=kind, dispatch_uid=f"audit-saved-{kind.__name__}")
        post_delete.connect(_deleted, sender=kind, dispatch_uid=f"audit-deleted-{kind.__name__}")


def _remember(sender: type[models.Model], instance: Any, raw: bool, **_: Any) -> None:
    instance._audited = None
    if _operator.get() and not raw and not instance._state.adding:
        instance._audited = sender._base_manager.filter(pk=instance.pk).first()


def _saved(sender: type[models.Model], instance: Any, created: bool, raw: bool, **_: Any) -> None:
    if not _operator.get() or raw:
        return
    if created:
        _record(instance, "created", before={}, after=_columns(instance))
    elif instance._audited is not None:
        _record(instance, "changed", before=_columns(instance._audited), after=_columns(instance))


def _deleted(sender: type[models.Model], instance: Any, **_: Any) -> None:
    if _operator.get():
        _record(instance, "deleted", before=_columns(instance), after={})


def record_deletion(row: models.Model) -> None:
    """Record the deletion of a row that no caller can see any more, though the row itself is deleted later."""
    _deleted(type(row), row)


def _columns(row: models.Model, names: Iterable[str] | None = None) -> dict[str, Any]:
    return {
        field.name: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if not field.primary_key and field.name not in BOOK_KEEPING and (names is None or field.name in names)
    }


def _record(row: Any, action: str, *, before: dict[str, Any], after: dict[str, Any]) -> None:
    if action == "changed":
        same = [name for name in after if before.get(name) == after[name]]
        before = {name: value for name, value in before.items() if name not in same}
        after = {name: value for name, value in after.items() if name not in same}
        if not after:
            return
    personal = _is_personal(row)
    _write(
        row,
        action,
        row_id=str(row.pk),
        label="" if personal else str(row)[:200],
        before=_shown(before, personal=personal),
        after=_shown(after, personal=personal),
    )


def _record_others(row: Any, count: int, values: dict[str, Any]) -> None:
    """One entry for the rows of a statement beyond those that have an entry each, of which `row` is one."""
    after = _shown(_columns(row, values), personal=_is_personal(row))
    _write(row, "changed", row_id="", label=f"{count} more rows", before={}, after=after)


def _write(row: Any, action: str, **fields: Any) -> None:
    kind = row._meta.label_lower
    apps.get_model("users", "AuditEntry").objects.create(
        organization_id=row.pk if kind == "users.organization" else _organization_of(row),
        actor=_operator.get(),
        action=action,
        kind=kind,
        **fields,
    )


def _is_personal(row: Any) -> bool:
    return hasattr(row, "recipient_hash") or hasattr(row, "email") or hasattr(row, "token_hash")


def _organization_of(row: Any) -> Any:
    path = getattr(type(row), "organization_path", "organization").split("__")
    for step in path[:-1]:
        row = getattr(row, step)
    return getattr(row, f"{path[-1]}_id", None)


def _shown(columns: dict[str, Any], *, personal: bool) -> dict[str, Any]:
    shown = {
        name: HIDDEN if value and (SECRET.search(name) or (personal and name in PERSONAL)) else value
        for name, value in columns.items()
    }
    # Through JSON: dates, ids and other values become strings.
    return dict(json.loads(json.dumps(shown, cls=DjangoJSONEncoder, default=str)))
