"""SQL of the hot path: prepared once for each connection, with the values as parameters of the protocol."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import psycopg
from django.db import connection, models
from django.db.models.expressions import DatabaseDefault, Expression

from notifier.lib.database import storage


def run(statement: str, values: Mapping[str, Any] | Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows that a PostgreSQL statement returns. It takes part in the transaction, if there is one.

    Django's own cursor puts the values into the text, so that each execution is parsed and planned again; for an
    array of a hundred that costs more than all else. Raises Django's DatabaseError.
    """
    connection.ensure_connection()
    # Django's own cursors use the same wrapper to turn the driver's errors into Django's.
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement, values, prepare=True)  # type: ignore[call-overload]
        return cursor.fetchall()


def read(
    statement: str, models_read: tuple[type[models.Model], ...], values: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """The rows that a statement selects, with the columns of models as instances. For PostgreSQL alone.

    `{0}`, `{1}` … in the statement stand for all columns of the models in order, whose tables have the aliases `t0`,
    `t1` …; any other selected columns come before them. A row that an outer join did not find is None.

    For the few look-ups of every request: there Django takes ten times as long to build a query as to run it.
    """
    text, plans = _selection(statement, models_read)
    found = []
    for columns in run(text, values):
        at = len(columns) - sum(len(plan.names) for plan in plans)
        row = list(columns[:at])
        for model, plan in zip(models_read, plans, strict=True):
            row.append(_instance(model, plan, columns[at : at + len(plan.names)]))
            at += len(plan.names)
        found.append(tuple(row))
    return found


class _Selected(NamedTuple):
    names: list[str]
    key: int
    converted: list[tuple[int, Any]]
    """The index of each value that its field has to convert, and the field."""


@lru_cache(maxsize=64)
def _selection(
    statement: str, models_read: tuple[type[models.Model], ...]
) -> tuple[str, tuple[_Selected, ...]]:
    plans = []
    for number, model in enumerate(models_read):
        fields = model._meta.concrete_fields
        names = ", ".join(f"t{number}.{field.column}" for field in fields)
        statement = statement.replace(f"{{{number}}}", names)
        converted = [(n, field) for n, field in enumerate(fields) if hasattr(field, "from_db_value")]
        key = next(n for n, field in enumerate(fields) if field.primary_key)
        plans.append(_Selected([field.attname for field in fields], key, converted))
    return statement, tuple(plans)


def _instance(model: type[models.Model], plan: _Selected, values: Sequence[Any]) -> models.Model | None:
    if values[plan.key] is None:
        return None
    given = list(values)
    for at, field in plan.converted:
        given[at] = field.from_db_value(given[at], None, connection)
    return model.from_db(connection.alias, plan.names, given)


@storage.operation
def insert(*groups: Sequence[models.Model]) -> None:
    """Store new rows by one statement, with an array for each column. The rows of one group are of one model.

    It costs a tenth of `bulk_create`, which builds an expression for every value, and one round trip. A single row is
    sent without arrays, which cost more than its values. Values that the database fills in are not read back. Raises
    Django's DatabaseError; then no row of any group is stored.
    """
    filled = [rows for rows in groups if rows]
    if not filled:
        return
    shapes: list[Shape] = []
    values: list[Any] = []
    for rows in filled:
        columns, by_clock = _columns(rows)
        alone = len(rows) == 1
        shapes.append((type(rows[0]), tuple(columns), by_clock, alone))
        values += (array[0] for array in columns.values()) if alone else columns.values()
    run(_insertion(tuple(shapes)), values)
    for rows in filled:
        for row in rows:
            row._state.adding, row._state.db = False, connection.alias


@insert.portable
def _insert_portably(*groups: Sequence[models.Model]) -> None:
    for rows in groups:
        if rows:
            type(rows[0])._base_manager.bulk_create(rows)


AS_THEY_ARE = frozenset(
    {
        models.CharField,
        models.EmailField,
        models.TextField,
        models.BooleanField,
        models.PositiveSmallIntegerField,
        models.PositiveIntegerField,
        models.UUIDField,
        models.ForeignKey,
    }
)
"""Fields whose values psycopg accepts as they are; values of others are converted by their field first."""


def _columns(rows: Sequence[models.Model]) -> tuple[dict[str, list[Any]], tuple[str, ...]]:
    """Each column's values, and the columns whose missing values the database fills with its clock."""
    columns: dict[str, list[Any]] = {}
    by_clock = []
    for field in type(rows[0])._meta.concrete_fields:
        if type(field) in AS_THEY_ARE:
            columns[str(field.column)] = [row.__dict__[field.attname] for row in rows]
            continue
        values = [field.pre_save(row, add=True) for row in rows]
        if isinstance(field.db_default, Expression):
            given = [None if isinstance(value, DatabaseDefault) else value for value in values]
            if given.count(None) == len(given):
                continue
            by_clock.append(str(field.column))
            values = given
        columns[str(field.column)] = [
            None if value is None else field.get_db_prep_save(value, connection) for value in values
        ]
    return columns, tuple(by_clock)


Shape = tuple[type[models.Model], tuple[str, ...], tuple[str, ...], bool]
"""A model, the given columns, those of them that the database's clock may fill, and whether it is a single row."""


@lru_cache(maxsize=64)
def _insertion(shapes: tuple[Shape, ...]) -> str:
    parts = []
    for number, (model, columns, by_clock, alone) in enumerate(shapes):
        types = {field.column: str(field.db_type(connection)) for field in model._meta.concrete_fields}
        # Without the length: a cast to varchar(n) would truncate a value, where storing it is an error.
        casts = [f"%s::{types[column].partition('(')[0]}{'' if alone else '[]'}" for column in columns]
        given = casts if alone else list(columns)
        chosen = ", ".join(
            f"coalesce({one}, statement_timestamp())" if column in by_clock else one
            for column, one in zip(columns, given, strict=True)
        )
        names, table = ", ".join(columns), connection.ops.quote_name(model._meta.db_table)
        source = "" if alone else f" FROM unnest({', '.join(casts)}) AS given({names})"
        # The names come from the models.
        parts.append(f"stored_{number} AS (INSERT INTO {table} ({names}) SELECT {chosen}{source})")  # noqa: S608
    return f"WITH {', '.join(parts)} SELECT 1"
